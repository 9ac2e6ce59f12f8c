"""One element of a long list is changed on B; the fast path has to name exactly that index, draw after draw.

    python benchmarks/one_changed_element.py [--values 3000000] [--draws 50] [--seed N]

A draw chooses an index and what stands there instead: another number of the same length, or other text. Exit status 1
if a draw was missed.
"""

from __future__ import annotations

import argparse
import random
import sys

from harness.bench.arguments import number_from
from harness.bench.changed import first_difference, written
from harness.options import Options


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), default=3_000_000)
    parser.add_argument("--draws", type=number_from(), default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    found = 0
    with written(options.values, Options()) as reread:
        for _ in range(options.draws):
            index = chance.randrange(options.values)
            instead = chance.choice((other_number(index + 1, chance), "changed"))
            at = first_difference(reread(index, instead))
            found += at == index
            print(f"index {index:>9} holds {instead!r:<12} instead of {index + 1}: first difference at {at}")
        untouched = first_difference(reread(0, None))
    print(f"{found} of {options.draws} found at exactly their index; nothing changed: {untouched}; seed {options.seed}")
    return 0 if found == options.draws and untouched is None else 1


def other_number(number: int, chance: random.Random) -> str:
    """The same digits but one, and the first of them never nought."""
    digits = list(str(number))
    place = chance.randrange(len(digits))
    digits[place] = chance.choice([digit for digit in "123456789" if digit != digits[place]])
    return "".join(digits)


if __name__ == "__main__":
    sys.exit(main())
