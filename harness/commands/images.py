"""`harness images`: container images of engines and of the fault proxy, listed and built without any registry."""

from __future__ import annotations

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode


@click.group("images")
def command() -> None:
    """List container images of engines, or build them without a registry."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an image, one a line.")
def list_command(as_json: bool) -> int:
    """List the images at hand."""
    from harness.engine.daemon import daemon
    from harness.engine.images import find_images
    from harness.engine.toxiproxy_image import image_at_hand
    from harness.report.rows import table

    output = Output()
    with daemon() as client:
        found = find_images(client)
        proxy = image_at_hand(client)
    if proxy is not None and proxy not in found:
        found.append(proxy)
    rows = [
        {"engine": image.name, "image": image.reference, "MB": round(image.size / 1e6, 1), "digest": image.digest}
        for image in found
    ]
    for row in rows if as_json else ():
        output.json_line(row)
    if not as_json:
        output.line(table(rows) if rows else "no image; harness images build NAME makes one")
    return ExitCode.AS_EXPECTED


@command.command("build")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--mirror", metavar="URL", help="Of Debian's archive; default: the one that this machine's apt uses.")
def build_command(names: tuple[str, ...], mirror: str | None) -> int:
    """Build images of these engines (redis-7.0.15, …) or of toxiproxy from what needs no registry."""
    from harness.engine.apt_root import check_mirror
    from harness.engine.daemon import daemon
    from harness.engine.debian import fetch, in_archive
    from harness.engine.images import build, built
    from harness.engine.toxiproxy_image import NAME, build_image, build_program, find_program

    if mirror is not None:
        check_mirror(mirror)
    engines = [in_archive(name) for name in dict.fromkeys(names) if name != NAME]
    output = Output()
    with daemon() as client:
        images = [image for listed in engines if (image := built(client, listed))]
        missing = [listed for listed in engines if built(client, listed) is None]
        images += [build(client, engine) for engine in fetch(missing, mirror=mirror, tell=aside)]
        if NAME in names:
            images.append(build_image(client, find_program() or build_program()))
    for image in images:
        output.line(f"{image.name}  {image.reference}  {image.size / 1e6:.1f} MB  {image.digest}")
    return ExitCode.AS_EXPECTED
