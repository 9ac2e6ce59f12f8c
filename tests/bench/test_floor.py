"""The floor writes and reads what the harness does, and says so where it can't be had."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.bench.floor import BenchmarkFloor, CompiledFloor, compiled, find_floor
from harness.bench.programs import output_of, printed
from harness.errors import SetupError
from harness.resp.connection import Connection
from tests.support.servers import running

COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc) on PATH")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with running("valkey-server", tmp_path_factory.mktemp("floor")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> CompiledFloor:
    assert COMPILER is not None
    return CompiledFloor(compiled(COMPILER, tmp_path_factory.mktemp("cache")))


@needs_compiler
class TestInC:
    @pytest.mark.parametrize("values", [1, 9, 10, 999, 1000, 1001, 10_000, 10_001, 50_000, 50_001, 123_456])
    def test_it_writes_the_numbers_in_order(self, server, floor, values):
        key = f"list:{values}"
        assert floor.write(server, key, values) > 0

        with Connection(server) as connection:
            assert connection.command("LRANGE", key, 0, -1) == [b"%d" % number for number in range(1, values + 1)]
        assert floor.drain(server, key, values) > 0

    def test_it_begins_with_the_first_number_that_it_is_told(self, server, floor):
        assert floor.write(server, "part", 20_000, 989_000) > 0

        with Connection(server) as connection:
            numbers = [b"%d" % number for number in range(989_000, 1_009_000)]
            assert connection.command("LRANGE", "part", 0, -1) == numbers
        assert floor.drain(server, "part", 20_000, 989_000) > 0
        with pytest.raises(SetupError, match="holds something else"):
            floor.drain(server, "part", 10_000, 989_001)

    @pytest.mark.parametrize("index", [0, 49_999, 50_000, 79_999])
    def test_its_drain_compares(self, server, floor, index):
        floor.write(server, f"changed:{index}", 80_000)
        with Connection(server) as connection:
            connection.command("LSET", f"changed:{index}", index, "99999")

        with pytest.raises(SetupError, match=r"the C floor's drain ended with exit code 3: .*holds something else"):
            floor.drain(server, f"changed:{index}", 80_000)

    @pytest.mark.parametrize("values", [1, 999, 10_001])
    def test_it_writes_sorted_sets_each_number_its_own_score(self, server, floor, values):
        assert floor.zadd(server, f"sorted:{values}", values) > 0

        with Connection(server) as connection:
            pairs = connection.command("ZRANGE", f"sorted:{values}", 0, -1, "WITHSCORES")
        assert pairs == [b"%d" % number for number in range(1, values + 1) for _ in range(2)]

    def test_a_key_of_another_type_ends_it(self, server, floor):
        with Connection(server) as connection:
            connection.command("SET", "text", "x")
        with pytest.raises(SetupError, match=r"exit code 3: .*was not answered with a number"):
            floor.write(server, "text", 5)

    def test_it_prints_the_newest_first(self, server, floor):
        floor.write(server, "down", 95_000)
        done = subprocess.run(floor.newest(server, "down", 95_000), capture_output=True, check=True)

        assert done.stdout == b"".join(b"%d\n" % number for number in range(95_000, 0, -1))
        assert printed(floor.newest(server, "down", 95_000), "printing")[1] == len(done.stdout)

    def test_it_is_compiled_once(self, tmp_path: Path):
        assert COMPILER is not None
        first = compiled(COMPILER, tmp_path / "new" / "cache")
        made = first.stat().st_mtime_ns

        assert compiled(COMPILER, tmp_path / "new" / "cache") == first
        assert first.stat().st_mtime_ns == made
        assert [path.name for path in first.parent.iterdir()] == [first.name]

    def test_a_compiler_that_fails_is_told_with_its_words(self, tmp_path: Path):
        compiler = program(tmp_path, "cc", "echo 'no stdio.h here' >&2; exit 4")
        with pytest.raises(SetupError, match=r"compiling the C floor ended with exit code 4: no stdio\.h here"):
            compiled(str(compiler), tmp_path / "cache")


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_without_a_compiler_it_is_redis_benchmark_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path, "redis-benchmark", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_floor(tmp_path / "cache")

    assert found.floor == BenchmarkFloor(str(tmp_path / "redis-benchmark"))
    assert found.note == "no C compiler (cc) on PATH; the floor is redis-benchmark, which compares nothing"


def test_a_compiler_that_fails_leads_on_to_the_next_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path, "cc", "exit 1")
    program(tmp_path, "valkey-benchmark", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_floor(tmp_path / "cache")

    assert found.floor == BenchmarkFloor(str(tmp_path / "valkey-benchmark"), "valkey-benchmark")
    assert found.note.startswith("compiling the C floor ended with exit code 1")


def test_with_neither_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_floor(tmp_path / "cache")

    assert found.floor is None
    assert found.note == "no C compiler (cc) on PATH, and no redis-benchmark: no floor, only the naive way is left"


def test_redis_benchmark_tells_seconds_for_as_many_values(server):
    name = shutil.which("redis-benchmark")
    if name is None:
        pytest.skip("no redis-benchmark on PATH")
    floor = BenchmarkFloor(name)

    assert 0 < floor.write(server, "benchmark", 20_000) < 60
    assert 0 < floor.drain(server, "benchmark", 20_000) < 60
    with Connection(server) as connection:
        assert connection.command("LLEN", "benchmark") == 20_000
    with pytest.raises(SetupError, match="redis-benchmark prints no list"):
        floor.newest(server, "benchmark", 20_000)
    with pytest.raises(SetupError, match="redis-benchmark writes no members"):
        floor.zadd(server, "benchmark", 20_000)


def test_a_program_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(SetupError, match=r"measuring: .*No such file"):
        output_of([str(tmp_path / "nothing")], "measuring")
