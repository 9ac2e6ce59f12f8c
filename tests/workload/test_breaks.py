"""Connections that break at exact bytes: what the ledger says then is what the server holds."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checker.evidence import KeyState, Reading, Stream
from harness.checker.key import check_key
from harness.checker.verdict import Kind
from harness.errors import SetupError
from harness.history import Acknowledged, Broken, Ledger, LengthJump, Resolved, Unanswered
from harness.resp.connection import Connection
from harness.resp.key_reader import RunJoiner
from harness.workload.base import Patience, Route
from harness.workload.numbered import SHAPES, NumberedWriter, WritePlan
from tests.support.pairs import ENGINES
from tests.support.relay import Cut, Relay, after_lines, after_pushes
from tests.support.scripted import ScriptedServer
from tests.support.servers import running


def writer_for(plan, entry, control, *, patience=None, **route):
    return NumberedWriter(
        plan, Route("a", entry, control, **route), Ledger(None), patience=patience or Patience(20, 20)
    )


def write(plan, entry, control, **options):
    writer = writer_for(plan, entry, control, **options)
    writer.run()
    writer.ledger.close()
    return writer


def elements(endpoint, key):
    with Connection(endpoint) as connection:
        return [int(element) for element in connection.command("LRANGE", key, 0, -1)]


def emptied(endpoint, key):
    with Connection(endpoint) as connection:
        connection.command("DEL", key)
    return key.encode()


def of(kind, entries):
    return [entry for entry in entries if isinstance(entry, kind)]


def check_against_list(entries, held):
    """Acknowledged elements are there; open ones up to one command boundary a connection; all in stream order."""
    assert held == sorted(held)
    present = set(held)
    assert len(present) == len(held)
    for entry in of(Acknowledged, entries):
        assert present.issuperset(range(entry.first, entry.last + 1))
    executed = {}
    for entry in of(Unanswered, entries):
        here = [n for n in range(entry.first, entry.last + 1) if n in present]
        assert here == list(range(entry.first, entry.first + len(here)))
        assert len(here) % entry.command == 0 or here[-1] == entry.last
        done, whole = executed.get(entry.connection, (0, True))
        assert whole or not here, "a later command was executed, an earlier one was not"
        executed[entry.connection] = (done + len(here), whole and here[-1:] == [entry.last])
    for entry in of(Resolved, entries):
        assert entry.applied == sum(executed[connection][0] for connection in entry.connections)


def judge(writer, held):
    """What the checker finds when a node's list is held against the writer's ledger."""
    entries = writer.ledger.entries
    stream = Stream("workload", "k", 0, writer.sent, lambda: entries, must_acknowledge=False)
    runs = []
    joiner = RunJoiner(runs.append)
    for number in held:
        joiner.element(number)
    joiner.close()
    reading = Reading("b", "workload", KeyState.LIST if held else KeyState.ABSENT, lambda: runs, length=len(held))
    return check_key(stream, reading, target_length=len(held), caught_up=True)


class TestFenced:
    @pytest.mark.parametrize("reset", [False, True])
    @pytest.mark.parametrize("extra", [0, 1, 4])
    def test_a_pipeline_of_a_thousand_cut_after_four_hundred_replies(self, server, reset, extra):
        key = emptied(server, "cut")
        with Relay(server, Cut(after_lines(400, extra), reset)) as relay:
            writer = write(WritePlan(key, 10_000, "pipeline", (1000,)), relay.endpoint, server)
        first, opened, broken, resolved, *rest = writer.ledger.entries
        assert first == Acknowledged(1, 1, 400, 1)
        assert (opened.connection, opened.first, opened.command, opened.error) == (1, 401, 1, None)
        assert (opened.last % 1000, opened.last <= 3000) == (0, True)
        assert (broken.connection, broken.fenced, broken.refusals_possible) == (1, True, False)
        assert resolved.connections == (1,)
        assert rest == [Acknowledged(2, opened.last + 1, 10_000, 1)]
        held = elements(server, "cut")
        assert held == [*range(1, 401 + resolved.applied), *range(opened.last + 1, 10_001)]
        assert judge(writer, held).anomalies == ()
        for lost in (400, 400 + resolved.applied, 10_000):
            (anomaly,) = judge(writer, [number for number in held if number != lost]).anomalies
            assert (anomaly.first.expected, anomaly.count) == (str(lost), 1)
        assert (writer.breaks, writer.connections) == (1, 2)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sampled_from(SHAPES),
        st.lists(st.integers(1, 40), min_size=1, max_size=4),
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6), st.booleans()), max_size=4),
    )
    def test_any_shape_cut_anywhere(self, server, shape, sizes, cuts):
        key = emptied(server, "drawn")
        with Relay(server, *[Cut(after_lines(lines, extra), reset) for lines, extra, reset in cuts]) as relay:
            writer = write(WritePlan(key, 400, shape, tuple(sizes)), relay.endpoint, server)
        entries = writer.ledger.entries
        held = elements(server, "drawn")
        check_against_list(entries, held)
        findings = judge(writer, held)
        assert (findings.anomalies, findings.doubts) == ((), ())
        assert all(entry.fenced for entry in of(Broken, entries))
        assert of(LengthJump, entries) == []
        assert writer.ledger.acknowledged + writer.ledger.unanswered == writer.sent == 400

    def test_cut_while_it_introduces_itself(self, server):
        key = emptied(server, "early")
        with Relay(server, Cut(lambda replies: 0), Cut(lambda replies: 3, reset=True)) as relay:
            writer = write(WritePlan(key, 100), relay.endpoint, server)
        assert writer.ledger.entries == [Acknowledged(1, 1, 100, 1)]
        assert writer.breaks == 0

    def test_bytes_that_come_late_reach_nobody(self, server):
        key, late = emptied(server, "late"), threading.Event()
        cut = Cut(after_lines(5), hold=after_pushes(7), late=late)
        with Relay(server, cut) as relay:
            writer = write(WritePlan(key, 100, "pipeline", (10,)), relay.endpoint, server)
            late.set()
        opened = of(Unanswered, writer.ledger.entries)[0]
        assert of(Resolved, writer.ledger.entries) == [Resolved((1,), 2)]
        assert elements(server, "late") == [*range(1, 8), *range(opened.last + 1, 101)]

    def test_a_transaction_is_open_as_a_whole(self, server):
        key = emptied(server, "atomic")
        with Relay(server, Cut(after_lines(15))) as relay:
            writer = write(WritePlan(key, 100, "multi", (20,)), relay.endpoint, server)
        opened = of(Unanswered, writer.ledger.entries)[0]
        assert (opened.first, opened.command) == (1, 20)
        check_against_list(writer.ledger.entries, elements(server, "atomic"))


class TestUnfenced:
    def test_bytes_that_come_late_are_no_jump_of_the_length(self, server):
        """The first connection's rest is executed between two sends of the second."""
        key, late = emptied(server, "late"), threading.Event()

        class Marks:
            def wait_at(self, writer, sent):
                if sent >= 60:
                    wait_for_length(server, "late", 8)
                    late.set()
                    wait_for_length(server, "late", 60)
                return 60 if sent < 60 else 1000

        cut = Cut(after_length(5), hold=after_pushes(7), late=late)
        with Relay(server, cut) as relay:
            route = Route("a", relay.endpoint, server, no_fence="its profile hides client ids")
            writer = NumberedWriter(WritePlan(key, 100, "pipeline", (10,)), route, Ledger(None), Marks())
            writer.run()
            writer.ledger.close()
        entries = writer.ledger.entries
        (broken,) = of(Broken, entries)
        assert not broken.fenced
        assert broken.reason.endswith("; not fenced: its profile hides client ids")
        assert of(LengthJump, entries) == of(Resolved, entries) == []
        held = elements(server, "late")
        assert sorted(held) == list(range(1, 101))
        assert held.index(8) > held.index(of(Unanswered, entries)[0].last + 1)
        assert judge(writer, held).anomalies == ()
        (anomaly,) = judge(writer, [number for number in held if number != 40]).anomalies
        assert (anomaly.kind, anomaly.first.expected) == (Kind.LOST, "40")

    @pytest.mark.parametrize(
        ("user", "reason"),
        [
            ("-client", "CLIENT ID was answered with NOPERM"),
            ("-info", "INFO server tells no run_id"),
            ("-client|kill", "CLIENT KILL was answered with NOPERM"),
        ],
    )
    def test_what_is_refused_is_told(self, tmp_path, user, reason):
        with running(ENGINES[0], tmp_path, f"user default on nopass ~* +@all {user}") as endpoint:
            with Relay(endpoint, Cut(after_length(30))) as relay:
                writer = write(WritePlan(b"k", 100, "variadic", (10,)), relay.endpoint, endpoint)
            held = elements(endpoint, "k")
        (broken,) = of(Broken, writer.ledger.entries)
        assert not broken.fenced
        assert f"not fenced: {reason}" in broken.reason
        assert set(held) >= {n for a in of(Acknowledged, writer.ledger.entries) for n in range(a.first, a.last + 1)}


def wait_for_length(endpoint, key, length):
    deadline = time.monotonic() + 20
    with Connection(endpoint) as connection:
        while (found := connection.command("LLEN", key)) < length:
            assert time.monotonic() < deadline, f"{found} elements after 20 s, not {length}"


def after_length(length):
    """Cut after the reply that tells this length, whatever the connection was introduced with."""
    line = b":%d\r\n" % length

    def when(replies):
        position = replies.rfind(line)
        return None if position < 0 else position + len(line)

    return when


class TestTheServer:
    def test_a_server_that_is_started_anew_has_dropped_everything(self, tmp_path):
        gone, stack = threading.Event(), ExitStack()
        endpoint = stack.enter_context(running(ENGINES[0], tmp_path / "old"))

        class Marks:
            def wait_at(self, writer, sent):
                if sent == 500:
                    stack.close()
                    gone.set()
                return 500

        writer = NumberedWriter(
            WritePlan(b"k", 2000, "pipeline", (100,)),
            Route("a", endpoint, endpoint),
            Ledger(None),
            Marks(),
            patience=Patience(20, 20),
        )
        thread = threading.Thread(target=writer.run)
        thread.start()
        assert gone.wait(20)
        with running(ENGINES[0], tmp_path / "new", port=endpoint.port):
            thread.join(30)
            held = elements(endpoint, "k")
        writer.ledger.close()
        assert not thread.is_alive()
        entries = writer.ledger.entries
        assert entries[0].first == 1
        (broken,) = of(Broken, entries)
        assert broken.fenced
        (resolved,) = of(Resolved, entries)
        assert resolved.applied < 0  # what the old process had acknowledged is gone
        last = entries[-1]
        assert isinstance(last, Acknowledged)
        assert held == list(range(last.first, 2001))

    def test_a_server_that_is_never_there(self):
        closed = nobody()
        writer = writer_for(WritePlan(b"k", 100), closed, closed, patience=Patience(0.3, 0.3))
        with pytest.raises(SetupError, match=r"the writer found no connection to a within 0.3 s: cannot connect to"):
            writer.run()
        writer.ledger.close()
        assert writer.ledger.entries == []

    def test_a_server_that_goes_away_for_good_leaves_a_ledger_of_what_was_sent(self):
        def serve(client):
            introduce(client)
            client.request()
            server.refuse_from_now_on()
            client.send(b":1\r\n")

        with ScriptedServer(serve) as server:
            plan = WritePlan(b"k", 100, "pipeline", (5,))
            writer = writer_for(plan, server.endpoint, server.endpoint, patience=Patience(5, 0.3))
            with pytest.raises(SetupError, match=r"found no connection to a within 0.3 s: cannot connect to"):
                writer.run()
        writer.ledger.close()
        acknowledged, opened, broken = writer.ledger.entries
        assert acknowledged == Acknowledged(1, 1, 1, 1)
        assert (opened.first, opened.last) == (2, writer.sent)
        assert not broken.fenced
        assert "; not fenced: cannot connect to 127.0.0.1:" in broken.reason

    def test_a_server_that_falls_silent(self):
        def serve(client):
            introduce(client)
            for length in (1, 2, 3):
                client.request()
                client.send(b":%d\r\n" % length)
            client.until_closed()

        with ScriptedServer(serve) as server:
            plan = WritePlan(b"k", 10, "pipeline", (5,))
            writer = writer_for(plan, server.endpoint, nobody(), patience=Patience(0.2, 0.3))
            writer.run()
        writer.ledger.close()
        acknowledged, opened, broken = writer.ledger.entries
        assert (acknowledged, opened) == (Acknowledged(1, 1, 3, 1), Unanswered(1, 4, 10, 1))
        assert not broken.fenced
        assert "did not answer within 0.2 s" in broken.reason


def nobody():
    """An endpoint where nobody listens."""
    with ScriptedServer(lambda client: None) as server:
        return server.endpoint


def introduce(client, run_id="f00d"):
    assert client.request() == [b"CLIENT", b"ID"]
    client.send(b":7\r\n")
    assert client.request() == [b"INFO", b"server"]
    text = f"# Server\r\nrun_id:{run_id}\r\n".encode()
    client.send(b"$%d\r\n%b\r\n" % (len(text), text))


class TestStop:
    def test_in_the_middle_of_waiting(self):
        def serve(client):
            introduce(client)
            client.request()
            client.send(b":1\r\n")
            client.until_closed()

        with ScriptedServer(serve) as server:
            writer = writer_for(WritePlan(b"k", 10, "pipeline", (2,)), server.endpoint, server.endpoint)
            timer = threading.Timer(0.2, writer.stop)
            timer.start()
            begun = time.monotonic()
            writer.run()
            assert time.monotonic() - begun < 10
            timer.join()
        writer.ledger.close()
        assert writer.ledger.entries == [
            Acknowledged(1, 1, 1, 1),
            Unanswered(1, 2, 6, 1),
            Broken(1, False, f"{server.endpoint.address}: interrupted while waiting; not fenced: nothing more is sent"),
        ]

    def test_while_it_looks_for_a_connection(self):
        writer = writer_for(WritePlan(b"k", 10), nobody(), nobody())
        timer = threading.Timer(0.2, writer.stop)
        timer.start()
        writer.run()
        timer.join()
        assert writer.sent == 0

    def test_in_the_middle_of_writing(self, server):
        key = emptied(server, "stopped")
        writer = writer_for(WritePlan(key, 50_000_000, "pipeline", (10,)), server, server)
        timer = threading.Timer(0.2, writer.stop)
        timer.start()
        writer.run()
        timer.join()
        writer.ledger.close()
        assert 0 < writer.ledger.acknowledged <= writer.sent < 50_000_000
        with Connection(server) as connection:
            assert connection.command("LLEN", "stopped") >= writer.ledger.acknowledged
        emptied(server, "stopped")
