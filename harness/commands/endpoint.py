"""`harness endpoint`: serve a simulated managed endpoint, find out what an endpoint is, list what there is."""

from __future__ import annotations

from contextlib import ExitStack
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from harness.endpoint.profile import Profile
    from harness.endpoint.simulated.plan import Behaviour

_LOOK_S = 0.5


@click.group("endpoint")
def command() -> None:
    """Simulate a managed endpoint, or find out what one is."""


@command.command("serve")
@click.argument("name", metavar="PROFILE")
@click.option(
    "--upstream", required=True, metavar="URL", help="The real server: redis://[[user]:password@]host[:port]."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Default: the product's own; 0: any that is free.")
@click.option("--cluster-policy", metavar="POLICY", help="As in PROFILE/POLICY: oss, enterprise, sharded, …")
@click.option("--wording", metavar="NAME", help="How refusals read; `endpoint profiles --wordings` lists them.")
@click.option("--tls/--no-tls", default=None, help="Default: as the product has it. The CA is made for this run only.")
@click.option("--resp3/--no-resp3", default=None, help="Whether HELLO 3 is taken; default: as the product has it.")
@click.option("--max-clients", type=click.IntRange(1, 100_000), help="Further clients are refused.")
@click.option("--idle-timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Ends idle clients.")
def serve_command(name: str, **chosen: Any) -> int:
    """Serve an endpoint that behaves like PROFILE, until Ctrl-C. Clients log in as the users of the server behind it;
    the URL's own user and password are for what the endpoint itself has to ask.
    """
    found = _chosen_profile(name, chosen.pop("cluster_policy"))
    return _serve(found, **chosen)


def _chosen_profile(name: str, policy: str | None) -> Profile:
    from harness.endpoint.profile import profile, profiles

    known = profiles()
    if name not in known:
        raise SetupError(f"no profile {name!r}; expected one of: {', '.join(one for one in known if '/' not in one)}")
    if policy is None:
        return known[name]
    if policy not in known[name].policies or "/" in name:
        raise SetupError(
            f"--cluster-policy {policy}: {name} has {', '.join(known[name].policies) or 'no policies'}; leave it out"
        )
    return profile(f"{name}/{policy}")


def _serve(found: Profile, *, upstream: str, host: str, port: int | None, tls: bool | None, **changes: Any) -> int:
    from harness.endpoint.address import Endpoint
    from harness.endpoint.certificate import make_certificate
    from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
    from harness.endpoint.simulated.plan import Plan
    from harness.runtime.owner import Owner

    behaviour = _changed(found.behaviour, **changes)
    try:
        server = Endpoint.parse(upstream)
    except ValueError as error:
        raise UsageError(f"--upstream: {error}") from None
    if server.db:
        raise UsageError(f"--upstream: /{server.db}: clients choose their database themselves; leave it out")
    with ExitStack() as stack:
        owner = stack.enter_context(Owner())
        certificate = None
        if found.tls if tls is None else tls:
            certificate = make_certificate(owner.folder("replication-harness"), _names(host))
        plan = Plan(
            profile=found.name,
            host=host,
            port=(found.port or 0) if port is None else port,
            upstream=upstream_of(server),
            behaviour=behaviour,
            certificate=str(certificate.server) if certificate else None,
        )
        endpoint = SimulatedEndpoint(plan, None, owner.popen)
        stack.callback(endpoint.stop)
        number = endpoint.wait_ready()
        _until_interrupted(endpoint, _address(found, host, number, str(certificate.authority) if certificate else ""))
    return ExitCode.AS_EXPECTED


def _changed(
    behaviour: Behaviour,
    *,
    wording: str | None,
    resp3: bool | None,
    max_clients: int | None,
    idle_timeout: float | None,
) -> Behaviour:
    from dataclasses import replace

    from harness.endpoint.profile import wordings

    if idle_timeout is not None and not isfinite(idle_timeout):
        raise UsageError(f"--idle-timeout {idle_timeout}: expected a number of seconds")
    if wording is not None and wording not in wordings():
        raise UsageError(f"--wording {wording}: expected one of {', '.join(wordings())}")
    if wording is not None:
        behaviour = replace(behaviour, wording=wordings()[wording], wordings={})
    return replace(
        behaviour,
        resp3=behaviour.resp3 if resp3 is None else resp3,
        max_clients=max_clients or behaviour.max_clients,
        idle_s=idle_timeout or behaviour.idle_s,
    )


def _names(host: str) -> tuple[str, ...]:
    """By which clients on this machine may reach it."""
    loopback = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "::1")}.get(host, ())
    return (host, "localhost", *loopback)


def _address(found: Profile, host: str, port: int, authority: str) -> str:
    host = f"[{host}]" if ":" in host else host
    url = f"rediss://{host}:{port}?ca_file={authority}" if authority else f"redis://{host}:{port}"
    return f"{found.label} at {url}"


def _until_interrupted(endpoint: Any, address: str) -> None:
    """address: told only once an interruption is an orderly end."""
    import threading

    never = threading.Event()
    try:
        Output().line(address)
        aside("harness: Ctrl-C stops it")
        while not never.wait(_LOOK_S):
            if death := endpoint.death():
                raise SetupError(death)
    except KeyboardInterrupt:
        return


@command.command("probe")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def probe_command(url: str, as_json: bool) -> int:
    """Say which product answers at URL, by which evidence: real, simulated or stock. Nothing is written there."""
    from harness.endpoint.address import Endpoint
    from harness.endpoint.probe import probe

    try:
        endpoint = Endpoint.parse(url)
    except ValueError as error:
        raise UsageError(f"URL: {error}") from None
    found = probe(endpoint)
    output = Output()
    if as_json:
        output.json_line({"kind": found.kind, "product": found.product, "evidence": list(found.evidence)})
        return ExitCode.AS_EXPECTED
    output.line(f"{found.kind} {found.product}".rstrip())
    for observation in found.evidence:
        output.line(f"  {observation}")
    return ExitCode.AS_EXPECTED


@command.command("profiles")
@click.option("--gaps", is_flag=True, help="What each simulation leaves out.")
@click.option("--wordings", "as_wordings", is_flag=True, help="How refusals can read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a profile, one a line.")
def profiles_command(gaps: bool, as_wordings: bool, as_json: bool) -> int:
    """List the products that an endpoint can be made to look like."""
    from harness.endpoint.profile import profiles, wordings
    from harness.report.rows import table

    if as_wordings and (gaps or as_json):
        raise UsageError("--wordings stands alone: a table of how refusals read, with neither --gaps nor --json")
    output = Output()
    if as_wordings:
        output.line(table([{"wording": name, "text": one.command} for name, one in wordings().items()]))
        return ExitCode.AS_EXPECTED
    main = [one for name, one in profiles().items() if "/" not in name]
    if gaps:
        for one in main:
            if as_json:
                output.json_line({"profile": one.name, "gaps": list(one.gaps)})
                continue
            output.line("\n".join([one.name, *(f"  - {gap}" for gap in one.gaps or ("nothing is left out",))]))
        return ExitCode.AS_EXPECTED
    rows = [_row(one) for one in main]
    for row in rows if as_json else ():
        output.json_line(row)
    if not as_json:
        output.line(table([{**row, "source": str(row["source"])[:60]} for row in rows]))
    return ExitCode.AS_EXPECTED


def _row(one: Profile) -> dict[str, object]:
    behaviour = one.behaviour
    return {
        "profile": one.name,
        "product": one.product,
        "port": one.port or "",
        "tls": "yes" if one.tls else "no",
        "databases": {"no-op": "1 (SELECT does nothing)", "": "as the server"}.get(behaviour.select, behaviour.select),
        "cluster": "yes" if behaviour.cluster else "no",
        "policies": ", ".join(one.policies),
        "refused commands": len(behaviour.refused),
        "source": one.source,
    }
