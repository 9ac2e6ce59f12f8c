"""One client's session without sockets: whatever it asks, and however it asks for more than it reads."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.endpoint.profile import profile
from harness.endpoint.simulated.answers import CROWDED
from harness.endpoint.simulated.commands import CommandFacts, read_commands
from harness.endpoint.simulated.frames import parse
from harness.endpoint.simulated.layout import Layout
from harness.endpoint.simulated.plan import Plan, Upstream
from harness.endpoint.simulated.requests import as_array
from harness.endpoint.simulated.rules import Rules
from harness.endpoint.simulated.scripts import ScriptGuard
from harness.endpoint.simulated.session import Session
from harness.endpoint.simulated.shared import Shared
from tests.endpoint.simulated.endpoints import Raw
from tests.support.servers import running

BEFORE, AFTER = b"-ERR unknown command '", b"', with args beginning with: \r\n"
PRODUCTS = ["elasticache-serverless", "redis-enterprise/oss-cluster", "redis-enterprise", "memorystore-cluster"]


class FakeWire:
    address = ("127.0.0.1", 1)

    def __init__(self) -> None:
        self.server, self.client = bytearray(), bytearray()

    def to_server(self, data: bytes | memoryview) -> None:
        self.server += data

    def to_client(self, data: bytes) -> None:
        self.client += data

    def close(self, reason: str) -> None: ...

    def finish(self, last_words: bytes, reason: str) -> None: ...

    def run(self, job: Awaitable[None]) -> None:
        job.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CommandFacts]]:
    with running("valkey-server", tmp_path_factory.mktemp("server")) as server, Raw(server) as raw:
        raw.send(b"COMMAND\r\nQUIT\r\n")
        yield read_commands(parse(raw.rest()))


async def nothing(words: Sequence[bytes]) -> bytes:
    return b"-ERR\r\n"


def begun(name: str, facts: dict[str, CommandFacts]) -> tuple[Session, FakeWire]:
    """A client that has logged in."""
    behaviour = profile(name).behaviour
    rules = Rules(behaviour, facts)
    plan = Plan(name, "127.0.0.1", 0, Upstream("127.0.0.1", 1), behaviour)
    shared = Shared(plan, rules, ScriptGuard(["role"]), (BEFORE, AFTER), nothing, Layout())
    wire = FakeWire()
    session = Session(shared, wire)
    session.begin()
    question = parse(bytes(wire.server))
    assert isinstance(question, list)
    session.replied(b"$%d\r\n%b\r\n" % (len(question[1]), question[1]))  # type: ignore[arg-type, str-bytes-safe]
    wire.server.clear()
    return session, wire


WORDS = [b"", b"--5", b"-", b"9" * 5000, b"-1", b"0", b"2", b"\xff{}", b"{a}", b"{b", b"x" * 200, b"%s{0}"]
WORDS += [b"STREAMS", b"STORE", b"KEYS", b"DB", b"REPLY", b"OFF", b"LOAD", b"GET", b"SET", b"CREATE", b"\r\n", b"3"]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", PRODUCTS)
def test_no_command_makes_it_fail(name: str, facts: dict[str, CommandFacts], data: st.DataObject) -> None:
    session, _ = begun(name, facts)
    names = st.sampled_from([b"multi", b"exec", b"reset", *(one.encode() for one in sorted(facts))])
    arguments = st.lists(st.sampled_from(WORDS), max_size=6)
    for command, rest in data.draw(st.lists(st.tuples(names, arguments), min_size=1, max_size=5)):
        session.requests.feed(as_array([command, *rest]))
    session.requests.close()


@pytest.mark.parametrize("number", [b"--5", b"9" * 5000, b"-", b"+1"])
def test_a_number_that_is_none(number: bytes, facts: dict[str, CommandFacts]) -> None:
    session, wire = begun("elasticache-serverless", facts)
    for words in ([b"SELECT", number], [b"ZUNION", number, b"a"], [b"EVAL", b"return 1", number, b"a"]):
        session.requests.feed(as_array(words))
        assert number in wire.server  # the server says what is wrong with it


def test_who_asks_without_reading_is_not_read_for_ever(facts: dict[str, CommandFacts]) -> None:
    session, wire = begun("redis-enterprise", facts)
    session.requests.feed(b"ROLE\r\n" * 5000)
    assert session.requests.held
    assert session.replies.open == CROWDED
    answered = 0
    while wire.server:
        marks = [line for line in bytes(wire.server).split(b"\r\n") if line.startswith(b"X")]
        wire.server.clear()
        assert len(marks) <= CROWDED
        answered += len(marks)
        session.replied(b"".join(BEFORE + mark + AFTER for mark in marks))
    assert (answered, wire.client.count(b"-ERR command 'role' is not allowed\r\n")) == (5000, 5000)
    assert not session.requests.held
