"""Plans the cells and runs them on warm servers, several at a time; the result is a Matrix."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from harness.engine.binaries import Engine
from harness.engine.differences import Case, rule_for
from harness.errors import SetupError
from harness.matrix.cell import Bench, CellRun, Found, TooLate
from harness.matrix.cells import Cell, EngineFacts, Expectation, Key, Outcome
from harness.matrix.features import FEATURES
from harness.matrix.features.base import Feature
from harness.matrix.following import neutral
from harness.matrix.probe import probe_engine
from harness.matrix.syncs import SYNCS
from harness.matrix.warm import Pool, Trouble
from harness.resp.connection import CannotConnect, ConnectionLost

Tell = Callable[[int, int], None]  # cells done, cells in all
_LEADS_MS = (0, 100, 500, 2500)  # how much longer keys live that are to expire during the sync, try after try


@dataclass(frozen=True)
class Plan:
    """What to run. pairs: names of primary and replica; replay: what is to stand before a cell's own options."""

    engines: tuple[Engine, ...]
    pairs: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    syncs: tuple[str, ...]
    jobs: int = 2
    replay: str = "harness matrix"
    features_by_name: dict[str, Feature] = field(default_factory=lambda: dict(FEATURES))

    @property
    def size(self) -> int:
        return len(self.pairs) * len(self.features) * len(self.syncs)


def run_matrix(
    plan: Plan, pool: Pool, tell: Tell = lambda done, total: None
) -> tuple[tuple[EngineFacts, ...], tuple[Cell, ...]]:
    """The engines as probed, and every cell of the plan in its order. SetupError where an engine can't be started."""
    facts = {engine.name: _probed(engine, pool) for engine in plan.engines}
    runner = _Runner(plan, pool, facts)
    cells = runner.run(tell)
    return tuple(facts.values()), tuple(cells)


def _probed(engine: Engine, pool: Pool) -> EngineFacts:
    try:
        return probe_engine(engine, pool)
    except (Trouble, ConnectionLost, CannotConnect) as error:
        raise SetupError(f"engine {engine.name} ({engine.program}) can't be probed: {error}") from None


def expectation(primary: EngineFacts, replica: EngineFacts, key: Key) -> Expectation:
    """What the rules say of a cell."""
    case = Case(
        (primary.family, primary.version),
        (replica.family, replica.version),
        *(key.feature, key.sync, frozenset(primary.lacks), frozenset(replica.lacks)),
    )
    rule = rule_for(case)
    also = tuple(map(Outcome, rule.also))
    return Expectation(Outcome(rule.outcome), rule.name, rule.reason, rule.source, also)


class _Runner:
    """The threads of one run. Each takes one pair of engines after another, and keeps its servers between cells."""

    def __init__(self, plan: Plan, pool: Pool, facts: dict[str, EngineFacts]) -> None:
        self._plan, self._pool, self._facts = plan, pool, facts
        self._engines = {engine.name: engine for engine in plan.engines}
        self._todo: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Cell | BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._number = iter(range(1 << 60))
        self._lock = threading.Lock()

    def run(self, tell: Tell) -> list[Cell]:
        for pair in self._plan.pairs:
            self._todo.put(pair)
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, self._plan.jobs))]
        for thread in threads:
            thread.start()
        try:
            cells = list(self._results(len(threads), tell))
        except BaseException:
            self._stop.set()
            self._pool.close()  # what a thread waits for ends
            raise
        finally:
            for thread in threads:
                thread.join(30)
        order = {key: number for number, key in enumerate(self._keys())}
        return sorted(cells, key=lambda cell: order[cell.key])

    def _results(self, threads: int, tell: Tell) -> Iterator[Cell]:
        running, count = threads, 0
        while running:
            result = self._done.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                running -= 1
                continue
            count += 1
            tell(count, self._plan.size)
            yield result

    def _keys(self) -> Iterable[Key]:
        for primary, replica in self._plan.pairs:
            yield from self._keys_of(primary, replica)

    def _keys_of(self, primary: str, replica: str) -> Iterator[Key]:
        for sync in self._plan.syncs:
            for feature in self._plan.features:
                yield Key(primary, replica, feature, sync)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    pair = self._todo.get_nowait()
                except queue.Empty:
                    break
                for key in self._keys_of(*pair):
                    if self._stop.is_set():
                        break
                    self._done.put(self._cell(key))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the results are waited for
            self._done.put(error)
        finally:
            self._done.put(None)

    def _cell(self, key: Key) -> Cell:
        primary, replica = self._facts[key.primary], self._facts[key.replica]
        expected = expectation(primary, replica, key)
        began = time.monotonic()
        found = self._lacking(key, primary, replica) or self._found(key)
        evidence = tuple(map(neutral, found.evidence)) if found.outcome in expected.outcomes else found.evidence
        return Cell(
            key,
            found.outcome,
            expected,
            found.reason,
            found.anomalies,
            found.old_data,
            round(time.monotonic() - began, 4),
            evidence,
            f"{self._plan.replay} --pair {key.primary}:{key.replica} --features {key.feature} --sync {key.sync}",
        )

    def _lacking(self, key: Key, primary: EngineFacts, replica: EngineFacts) -> Found | None:
        """n/a, where an engine was asked and has not got what the cell is about."""
        if key.feature in primary.lacks:
            return Found(Outcome.NOT_APPLICABLE, f"{primary.name} has no {key.feature}")
        for engine in (primary, replica):
            if key.sync in engine.lacks:
                return Found(Outcome.NOT_APPLICABLE, f"{engine.name} has no {key.sync}")
        return None

    def _found(self, key: Key) -> Found:
        """As often as it takes for keys to expire during the sync and not before; never an exception."""
        why = ""
        for lead_ms in _LEADS_MS:
            try:
                return self._tried(key, lead_ms)
            except TooLate as late:
                why = str(late)
            except SetupError as error:
                why = f"a server could not be started: {str(error).splitlines()[0]}"
                break
            except Exception as error:  # noqa: BLE001 - one odd answer must not take the other cells with it
                trace = "".join(traceback.format_exception(error)).splitlines()
                return Found(Outcome.UNKNOWN, f"{type(error).__name__}: {error}", evidence=tuple(trace))
        return Found(Outcome.UNKNOWN, why)

    def _tried(self, key: Key, lead_ms: int) -> Found:
        sync = SYNCS[key.sync]
        roles = {"primary": key.primary, "between": key.replica, "replica": key.replica}
        servers = []
        try:
            for role, name in roles.items():
                if role != "between" or sync.chained:
                    servers.append(self._pool.lease(self._engines[name], role))
            bench = Bench(servers[0], servers[-1], servers[1] if sync.chained else None)
            with self._lock:
                number = next(self._number)
            return CellRun(bench, self._plan.features_by_name[key.feature], sync, b"m%d:" % number, lead_ms).run()
        finally:
            self._pool.give_back(servers)
