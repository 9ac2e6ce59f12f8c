"""Coverage-guided fuzzing of the request reader: `python -m tests.endpoint.simulated.fuzz_requests -runs=100000`.

Needs atheris, which has wheels for Python 3.11 (`pip install -e .[fuzz]`); `tox run -e fuzz` does the same. Whatever
the bytes are and however they are cut: no crash, no hang, the same reading, and no refused command is handed on.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["harness.endpoint.simulated"]):
    from harness.endpoint.simulated.requests import ROOM
    from tests.endpoint.simulated.test_requests import names, read

SEEDS = (
    b"",
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nrOlE\r\n",
    b"*3\r\n$8\r\nEVALKEYS\r\n$1\r\nx\r\n$1\r\n1\r\n",
    b"role a b\r\ninfo 'x y' \"\\x00\"\r\n*-1\r\n*0\r\n\r\n",
    b"*2\r\n$4\r\nEVAL\r\n$100\r\n",
)


def one_input(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    cuts = [provider.ConsumeIntInRange(0, 4096) for _ in range(provider.ConsumeIntInRange(0, 6))]
    before = SEEDS[provider.ConsumeIntInRange(0, len(SEEDS) - 1)]  # what follows well-formed commands, too
    data = before + provider.ConsumeBytes(provider.remaining_bytes())
    whole, cut = read(data), read(data, cuts)
    kept = [event for event in whole if event[0] != "passed"]
    assert kept == [event for event in cut if event[0] != "passed"], (data, cuts)
    handed_on = b"".join(event[1] for event in whole if event[0] == "passed")  # type: ignore[misc]
    assert b"ROLE" not in names(handed_on), data
    assert ROOM.taken == 0


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
