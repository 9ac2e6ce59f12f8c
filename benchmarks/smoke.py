"""The short form for continuous integration: fails where end to end takes more than 1.5 times as long as the C floor.

    python benchmarks/smoke.py

Generous, because machines that others use too are noisy; the real goals are judged by `harness bench`.
"""

from __future__ import annotations

import argparse
import sys

from harness.bench.end_to_end import against_floor
from harness.bench.floor import find_floor
from harness.bench.setting import Setting
from harness.bench.table import machine_line, table_text
from harness.options import Options

VALUES, ROUNDS, LIMIT = 1_000_000, 5, 1.5


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    search = find_floor()
    if search.floor is None:
        print(search.note, file=sys.stderr)
        return 1
    rows = against_floor(Setting(Options(), search.floor, ROUNDS, large=VALUES))
    print(f"{machine_line()}\n\n{table_text(rows)}")
    (whole,) = (row for row in rows if row.measure.startswith("end to end"))
    if whole.median > LIMIT:
        print(f"\nend to end takes {whole.median:.2f} times as long as the floor, more than {LIMIT}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
