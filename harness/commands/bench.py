"""`harness bench`: how fast this is here, beside the naive way and beside a floor in C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, UsageError

MOST_VALUES = 4_000_000_000  # as a scenario
NAMES = "floor, naive, newest, zadd, cold, help, draws, proxy"  # imported only when something is measured


@click.command("bench")
@click.option(
    "--values", type=click.IntRange(1, MOST_VALUES), help="Values to write; default: 1,000,000 and 3,000,000."
)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1), help="How often each way is taken.")
@click.option(
    "--only", "groups", multiple=True, metavar="GROUP", help=f"One group of measures, of {NAMES}; may be given again."
)
@click.option("--engine", "engines", multiple=True, metavar="[NODE=]ENGINE", help="Server program, as in valkey-9.1.2.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a measure, one a line.")
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Write a bar chart, as SVG.")
def command(
    values: int | None, runs: int, groups: tuple[str, ...], engines: tuple[str, ...], as_json: bool, chart: Path | None
) -> int:
    """Measure this machine: ratios of the harness to the naive way and to a floor in C, taken in turns."""
    from harness.bench.beforehand import check_setting
    from harness.bench.chart import chart_svg
    from harness.bench.floor import find_floor
    from harness.bench.measures import GROUPS, check_names, measure, rounds
    from harness.bench.setting import LARGE, SMALL, Setting
    from harness.bench.table import machine_line, table_text
    from harness.options import Options

    check_names(groups)
    if chart is not None:
        _check_place(chart)
    output = Output()
    search = find_floor()
    setting = Setting(Options(engines=engines), search.floor, runs, values or SMALL, values or LARGE)
    check_setting(setting, groups or tuple(GROUPS))
    rows: list[Any] = []
    if search.note:
        aside(f"harness: {search.note}")
    for row in measure(setting, groups, aside):
        rows.append(row)
        if as_json:
            output.json_line(row.as_json())
    if not as_json:
        output.line(f"{machine_line()}; medians of {rounds(setting)}, each way in turn\n\n{table_text(rows)}")
    if chart is not None:
        chart.write_text(chart_svg(rows, machine_line()), encoding="utf-8")
    return ExitCode.AS_EXPECTED


def _check_place(chart: Path) -> None:
    """UsageError now instead of after minutes, where no file can be written there, or its name says another format."""
    if chart.suffix.lower() != ".svg":
        raise UsageError(f"--chart {chart}: the chart is SVG; expected a name that ends in .svg")
    existed = chart.exists()
    try:
        chart.open("ab").close()
    except OSError as error:
        raise UsageError(f"--chart {chart}: {error.strerror}") from None
    if not existed:
        chart.unlink()
