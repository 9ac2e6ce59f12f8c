"""How gentle and how small a comparison stays: commands a second, and memory at any size."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from harness.endpoint.address import Endpoint
from tests.compare.made import client_of, on_both
from tests.support.usage import measured

Pair = tuple[Endpoint, Endpoint]
MOST_MB = 90


def words_for(pair: Pair, *options: str) -> list[str]:
    urls = [f"redis://127.0.0.1:{endpoint.port}" for endpoint in pair]
    return [sys.executable, "-m", "harness", "compare", *urls, "--json", *options]


def test_the_rate_holds_for_every_command(pair: Pair) -> None:
    """Counted by the server itself, marks and samples included; what goes out at once is a part of a second's worth."""
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(300)}))
    with client_of(pair[1]) as client:
        before = int(client.info("stats")["total_commands_processed"])
        began = time.monotonic()
        subprocess.run(words_for(pair, "--max-commands-per-second", "400"), check=True, stdout=subprocess.DEVNULL)
        taken = time.monotonic() - began
        sent = int(client.info("stats")["total_commands_processed"]) - before
    looking_around = 60  # what the server is and lets us do, asked once
    assert sent > 700
    assert sent - looking_around <= 400 * (taken + 0.2)


@pytest.mark.parametrize("what", ["one element", "many heavy elements", "one hash", "one key name"])
def test_memory_stays_where_it_is(pair: Pair, what: str) -> None:
    block = b"x" * 500_000

    def fill(client: object) -> None:
        if what == "one element":
            client.rpush("k", b"x" * 100_000_000)  # type: ignore[attr-defined]
        elif what == "many heavy elements":
            for _ in range(200):
                client.rpush("k", block)  # type: ignore[attr-defined]
        elif what == "one hash":
            for number in range(200):
                client.hset("k", f"f{number}", block)  # type: ignore[attr-defined]
        else:
            client.set(b"k" * 8_000_000, "v")  # type: ignore[attr-defined]

    on_both(pair, fill)
    code, megabytes = measured(words_for(pair, "--max-commands-per-second", "0"))
    on_both(pair, lambda client: client.flushall())
    assert code == 0
    assert megabytes < MOST_MB
