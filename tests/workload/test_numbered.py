"""The writer against real servers: what it sends, and what its ledger says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope
from harness.errors import SetupError
from harness.history import Acknowledged, Ledger, LengthJump, Refused
from harness.resp.connection import Connection
from harness.workload.base import Patience, Route
from harness.workload.numbered import SHAPES, NumberedWriter, WritePlan
from tests.support.pairs import ENGINES
from tests.support.servers import running


def write(endpoint, plan, *, marks=None, **options):
    """Run a writer; returns it with its ledger closed."""
    ledger = Ledger(None)
    route = Route("a", endpoint, options.pop("control", endpoint), **options)
    writer = NumberedWriter(plan, route, ledger, marks, patience=Patience(10, 10))
    writer.run()
    ledger.close()
    return writer


def elements(endpoint, key):
    with Connection(endpoint) as connection:
        return [int(element) for element in connection.command("LRANGE", key, 0, -1)]


def delete(endpoint, key):
    with Connection(endpoint) as connection:
        connection.command("DEL", key)


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("values", [0, 1, 2, 99, 100, 101, 1234])
    def test_all_values_arrive_in_order(self, server, shape, values):
        delete(server, "shapes")
        writer = write(server, WritePlan(b"shapes", values, shape, (100,)))
        assert elements(server, "shapes") == list(range(1, values + 1))
        command = 1 if shape in ("single", "pipeline") else 100
        if shape == "multi" and values % 100:
            command = 0 if values > 100 else values
        expected = [Acknowledged(1, 1, values, min(command, values))] if values else []
        assert [(entry.first, entry.last) for entry in writer.ledger.entries] == [(e.first, e.last) for e in expected]
        assert (writer.sent, writer.ledger.acknowledged, writer.breaks) == (values, values, 0)

    @pytest.mark.parametrize(
        ("shape", "sizes", "command"),
        [
            ("single", (7,), 1),
            ("pipeline", (7,), 1),
            ("variadic", (7,), 7),
            ("variadic", (3, 5), 0),
            ("multi", (5,), 5),
        ],
    )
    def test_the_ledger_says_how_many_elements_a_command_had(self, server, shape, sizes, command):
        delete(server, "commands")
        writer = write(server, WritePlan(b"commands", 35, shape, sizes))
        assert writer.ledger.entries == [Acknowledged(1, 1, 35, command)]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(SHAPES), st.integers(0, 400), st.lists(st.integers(1, 150), min_size=1, max_size=5))
    def test_any_sizes(self, server, shape, values, sizes):
        delete(server, "drawn")
        writer = write(server, WritePlan(b"drawn", values, shape, tuple(sizes)))
        assert elements(server, "drawn") == list(range(1, values + 1))
        assert writer.ledger.acknowledged == values
        assert len(writer.ledger.entries) == min(values, 1)

    @pytest.mark.parametrize(
        ("shape", "size"), [("pipeline", 50_000), ("variadic", 120_000), ("variadic", 1), ("multi", 50_000)]
    )
    def test_large_and_small_batches(self, server, shape, size):
        delete(server, "large")
        writer = write(server, WritePlan(b"large", 120_001, shape, (size,)))
        assert elements(server, "large") == list(range(1, 120_002))
        assert writer.ledger.acknowledged == 120_001

    def test_what_a_batch_shape_looks_like_on_the_server(self, server):
        """Counted by the server itself: commands, and transactions."""
        for shape, pushes, transactions in (("variadic", 4, 0), ("pipeline", 40, 0), ("multi", 40, 4)):
            delete(server, "counted")
            with Connection(server) as connection:
                connection.command("CONFIG", "RESETSTAT")
                write(server, WritePlan(b"counted", 40, shape, (10,)))
                text = connection.command("INFO", "commandstats").decode()
            assert f"cmdstat_rpush:calls={pushes}," in text
            assert (f"cmdstat_exec:calls={transactions}," in text) == bool(transactions)

    def test_a_database_and_a_binary_key(self, server):
        third = server.with_database(3)
        delete(third, b"\x00\xff\r\n")
        write(third, WritePlan(b"\x00\xff\r\n", 10, "variadic", (4,)))
        assert elements(third, b"\x00\xff\r\n") == list(range(1, 11))

    def test_a_plan_that_makes_no_sense(self):
        with pytest.raises(ValueError, match="a batch shape is one of single, pipeline, variadic, multi, not 'bulk'"):
            WritePlan(b"k", 1, "bulk")
        with pytest.raises(ValueError, match="batch sizes are at least 1"):
            WritePlan(b"k", 1, "multi", (3, 0))


class Recorder:
    """Marks every `step` elements; notes where the writer stood when it called."""

    def __init__(self, step):
        self.step, self.calls = step, []

    def wait_at(self, writer, sent):
        self.calls.append((writer, sent))
        return self.step - sent % self.step


class TestMarks:
    @pytest.mark.parametrize(
        ("shape", "size", "stops"),
        [
            ("single", 1, [0, 25, 50, 75]),
            ("pipeline", 10, [0, 30, 50, 80]),
            ("variadic", 10, [0, 30, 50, 80]),
            ("multi", 40, [0, 40, 80]),
            ("variadic", 1000, [0]),
        ],
    )
    def test_the_writer_stops_at_the_next_command_boundary(self, server, shape, size, stops):
        delete(server, "marks")
        marks = Recorder(25)
        write(server, WritePlan(b"marks", 100, shape, (size,)), marks=marks)
        assert marks.calls == [(0, sent) for sent in stops]
        assert elements(server, "marks") == list(range(1, 101))

    def test_a_batch_of_several_sends_is_not_divided(self, server):
        delete(server, "marks")
        marks = Recorder(25_000)
        write(server, WritePlan(b"marks", 100_000, "pipeline", (50_000,)), marks=marks)
        assert marks.calls == [(0, 0), (0, 50_000)]


class TestRefusals:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_key_of_another_type(self, server, shape):
        with Connection(server) as connection:
            connection.command("SET", "text", "x")
            writer = write(server, WritePlan(b"text", 1000, shape, (100,)))
            assert connection.command("GET", "text") == b"x"
        error = "WRONGTYPE Operation against a key holding the wrong kind of value"
        assert writer.ledger.entries == [Refused(1, 1, 1000, error)]
        assert writer.ledger.acknowledged == 0

    def test_a_key_that_was_there_before_is_a_length_that_nothing_explains(self, server):
        delete(server, "before")
        with Connection(server) as connection:
            connection.command("RPUSH", "before", "a", "b")
        writer = write(server, WritePlan(b"before", 20, "variadic", (5,)))
        assert writer.ledger.entries == [LengthJump(1, 5, 5, 7), Acknowledged(1, 1, 20, 5)]

    @pytest.mark.parametrize(("shape", "sizes"), [("pipeline", (100,)), ("variadic", (100,)), ("multi", (100,))])
    def test_memory_that_runs_out_in_the_middle(self, tmp_path, shape, sizes):
        with running(ENGINES[0], tmp_path, "maxmemory 2mb") as endpoint:
            writer = write(endpoint, WritePlan(b"k", 300_000, shape, sizes))
            held = elements(endpoint, "k")
        ledger = writer.ledger
        acknowledged = [entry for entry in ledger.entries if isinstance(entry, Acknowledged)]
        assert held == [number for entry in acknowledged for number in range(entry.first, entry.last + 1)]
        assert (ledger.acknowledged, ledger.refused) == (len(held), 300_000 - len(held))
        errors = {entry.error for entry in ledger.entries if isinstance(entry, Refused)}
        assert {"OOM command not allowed when used memory > 'maxmemory'." in error for error in errors} == {True}

    def test_a_replica_refuses_all(self, tmp_path):
        with running(ENGINES[0], tmp_path, "replicaof 127.0.0.1 1") as endpoint:
            writer = write(endpoint, WritePlan(b"k", 100_000, "pipeline", (1000,)))
        (entry,) = writer.ledger.entries
        assert (entry.first, entry.last, entry.error[:8]) == (1, 100_000, "READONLY")

    def test_without_multi_each_command_has_its_own_outcome(self, tmp_path):
        with running(ENGINES[0], tmp_path, "user default on nopass ~* +@all -multi") as endpoint:
            writer = write(endpoint, WritePlan(b"k", 100, "multi", (10,)))
            assert elements(endpoint, "k") == list(range(1, 101))
        assert writer.ledger.entries == [Acknowledged(1, 1, 100, 1)]

    def test_a_user_who_may_not_push(self, tmp_path):
        with running(ENGINES[0], tmp_path, "user default on nopass ~* +@all -rpush") as endpoint:
            writer = write(endpoint, WritePlan(b"k", 30, "multi", (10,)))
        (entry,) = writer.ledger.entries
        assert (entry.first, entry.last) == (1, 30)
        assert entry.error.startswith("EXECABORT Transaction discarded because of previous errors. (NOPERM ")

    def test_a_wrong_password_ends_the_run_at_once(self, tmp_path):
        with running(ENGINES[0], tmp_path, "requirepass right") as endpoint:
            wrong = Endpoint(endpoint.host, endpoint.port, password="wrong one")
            with pytest.raises(SetupError, match="the user or password is refused") as raised:
                write(wrong, WritePlan(b"k", 10))
        assert "wrong one" not in str(raised.value)


def test_an_endpoint_of_somebody_else_is_only_sent_what_is_allowed_there(server):
    scope = Scope("r7", writes=True, writable_claims={(0, b"harness:r7:k")})
    theirs = Endpoint(server.host, server.port, scope=scope)
    for shape in SHAPES:
        delete(server, "harness:r7:k")
        writer = write(theirs, WritePlan(b"harness:r7:k", 500, shape, (7, 30)))
        assert elements(server, "harness:r7:k") == list(range(1, 501))
        assert writer.ledger.acknowledged == 500
    assert len(scope.clients) == 4


def test_counts_of_bytes_and_moments(server):
    delete(server, "counts")
    writer = write(server, WritePlan(b"counts", 1000, "variadic", (100,)))
    assert 1000 * 7 < writer.bytes_sent < 1000 * 20
    assert 0 < writer.first_sent_at <= writer.last_acknowledged_at
    assert (writer.node, writer.connections) == ("a", 1)
