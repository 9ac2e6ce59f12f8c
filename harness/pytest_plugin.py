"""The pytest plugin: a scenario file is collected as `file.yaml::written` and, where it has a property, `::property`; a
plan of an acceptance as `::plan`.

It is loaded in every pytest run of an environment that has the package, so it must cost and change nothing where there
are no scenarios: only pytest and the standard library are imported at the top, a YAML file that is not meant for us
is left alone, and the short options (`--engine`) give way to anybody else's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.api import Deployed
    from harness.options import Options
    from harness.runner import Result
    from harness.scenario.loader import LoadedScenario
    from harness.scenario.plan_loader import LoadedPlan

WRITTEN, PROPERTY, PLAN = "written", "property", "plan"
# Options that also have a form without the prefix, where nobody else has an option of that name.
SHORT = ("--runtime", "--engine", "--image", "--fault-proxy", "--examples", "--strict-capabilities")
RUNTIMES = ("auto", "local", "container", "external")  # options.RUNTIMES, which is not imported for others' tests
SUFFIXES = (".yaml", ".yml")
# Keys at the left margin by which a file under the default folder shows that it is meant to be a scenario.
_OUR_KEYS = re.compile(
    rb"^(version|kind|title|why|topology|preload|workload|faults|expect|property|tags|source|target)[ \t]*:",
    re.MULTILINE,
)
_KEYS_ENOUGH = 3
_HEADER_SHOWN = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our own options, all under a prefix that nobody else uses."""
    group = parser.getgroup("replication-harness", "replication-harness (scenario files)")

    def option(name: str, text: str, **how: Any) -> None:
        short = f"; also --{name}, unless another plugin has that" if f"--{name}" in SHORT else ""
        group.addoption(f"--harness-{name}", dest=f"harness_{name.replace('-', '_')}", help=text + short, **how)

    chosen = os.environ.get("HARNESS_RUNTIME") or "auto"
    option("runtime", ", ".join(RUNTIMES), default=chosen, choices=RUNTIMES, metavar="NAME")
    option("engine", "server program, [NODE=]ENGINE as in valkey-9.1.2 (repeatable)", action="append", metavar="ENGINE")
    option("engine-path", "a server program of your own (repeatable)", action="append", metavar="NAME=PATH")
    option("image", "what an engine means in containers (repeatable)", action="append", metavar="ENGINE=REFERENCE")
    option("endpoint", "a running server for --runtime external (repeatable)", action="append", metavar="NODE=URL")
    option("fault-proxy", "auto, embedded, or a Toxiproxy's URL or program", default="auto", metavar="PROXY")
    option("ports", "written (as in the file) or any (free ones)", default="written", choices=("written", "any"))
    option("examples", "how many draws of each property", type=int, metavar="N")
    option("set", "change a key of every scenario (repeatable)", action="append", metavar="KEY=VALUE")
    option("out", "folder for run directories (default: runs)", type=Path, metavar="DIR")
    option("keep", "keep the run directories of passing scenarios as well", action="store_true")
    option("strict-capabilities", "fail where a runtime can't measure or disturb something", action="store_true")
    parser.addini(
        "harness_paths", "folders whose YAML files are scenarios (default: scenarios)", type="linelist", default=[]
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Generator[None, object, object]:
    """Read our short options as the long ones, now that every plugin and conftest has registered its own.

    They are never registered, so that an option of the same name can be added at any time, also by a conftest that is
    found later.
    """
    result = yield
    ours = {short for short in SHORT if not _is_taken(parser, short)}
    end = args.index("--") if "--" in args else len(args)
    for position in range(end):
        name, equals, value = args[position].partition("=")
        if name in ours:
            args[position] = f"--harness-{name[2:]}{equals}{value}"
    return result


def _is_taken(parser: pytest.Parser, option: str) -> bool:
    try:
        return option not in parser.parse_known_and_unknown_args([option])[1]
    except pytest.UsageError:  # it is known, and wants a value
        return True


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "property: draws of Hypothesis over a scenario")
    config.addinivalue_line("markers", "written: a scenario exactly as its file says")
    config.addinivalue_line("markers", "slow: a scenario or test that takes long")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Gatherer(), "replication_harness_gatherer")


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Engines, runtime and fault proxy, where scenarios may be collected."""
    if not _may_collect(config):
        return None
    config.stash[_HEADER_SHOWN] = True
    return _header(config)


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str] | None:
    """The header, where scenarios turned up in a place that could not be guessed."""
    if config.stash.get(_HEADER_SHOWN, False) or not any(isinstance(item, ScenarioItem) for item in items):
        return None
    return _header(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """An image that no scenario would run is a mistake, unless other tests may be meant."""
    option, items = session.config.option, session.items
    if not option.harness_image or not all(isinstance(item, ScenarioItem) for item in items):
        return
    from harness.errors import UsageError
    from harness.stage import require_images_in_use

    try:
        topologies = [item.loaded.topology for item in items if isinstance(item, ScenarioItem)]
        require_images_in_use(options_of(session.config), topologies)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _header(config: pytest.Config) -> list[str]:
    from harness.surroundings import engines_line, fault_proxy_line

    option = config.option
    return [
        f"scenarios: runtime {option.harness_runtime}, {fault_proxy_line(option.harness_fault_proxy)}",
        f"engines: {engines_line(option.harness_engine or ())}",
    ]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix not in SUFFIXES:
        return None
    named = parent.session.isinitpath(file_path)
    if named or file_path.name.endswith(tuple(f".scenario{suffix}" for suffix in SUFFIXES)):
        return ScenarioFile.from_parent(parent, path=file_path)
    for folder, certain in _harness_paths(parent.config):
        if file_path.is_relative_to(folder) and not _is_compose(file_path) and (certain or _looks_ours(file_path)):
            return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """One scenario file. A mistake in it is an error of collection, in the loader's words."""

    def collect(self) -> Iterator[pytest.Item]:
        from harness.errors import Failure
        from harness.scenario.loader import is_plan, load

        if is_plan(self.path):
            yield self._plan()
            return
        try:
            loaded = load(_as_seen_from_here(self.path), tuple(self.config.option.harness_set or ()), os.environ)
        except Failure as failure:
            raise self.CollectError(str(failure)) from None
        yield ScenarioItem.from_parent(self, name=WRITTEN, loaded=loaded)
        if loaded.scenario.property is not None:
            yield ScenarioItem.from_parent(self, name=PROPERTY, loaded=loaded)

    def _plan(self) -> PlanItem:
        from harness.errors import Failure
        from harness.scenario.plan_loader import load_plan

        try:
            loaded = load_plan(_as_seen_from_here(self.path), (), os.environ)
        except Failure as failure:
            raise self.CollectError(str(failure)) from None
        return PlanItem.from_parent(self, name=PLAN, loaded=loaded)


class PlanItem(pytest.Item):
    """One plan of an acceptance. It passes where the answer is what the plan expects."""

    def __init__(self, *, loaded: LoadedPlan, **node: Any) -> None:
        super().__init__(**node)
        self.loaded = loaded
        for tag in loaded.plan.tags:
            self.config.addinivalue_line("markers", f"{tag}: a tag of scenario files")
            self.add_marker(tag)

    def runtest(self) -> None:
        from harness.acceptance.report import terminal_text
        from harness.errors import Failure
        from harness.plan_run import follow_plan, unmet

        options = options_of(self.config)
        if self.loaded.topology is not None and options.runtime_name() == "external":
            pytest.skip("this plan starts servers of its own")
        try:
            report = follow_plan(self.loaded, options)
        except Failure as failure:
            raise pytest.fail.Exception(str(failure), pytrace=False) from None
        if problems := unmet(self.loaded.plan, report):
            pytest.fail("\n".join([*problems, "", terminal_text(report)]), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.loaded.name}::{self.name}"


def _as_seen_from_here(path: Path) -> Path:
    """The path as messages show it best."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class ScenarioItem(pytest.Item):
    """One scenario, as written or as a property. It passes where the run ends as expected, and only there."""

    def __init__(self, *, loaded: LoadedScenario, **node: Any) -> None:
        super().__init__(**node)
        self.loaded = loaded
        self.result: Result | None = None
        self.machine_lacks = False
        self.add_marker(self.name)
        for tag in loaded.scenario.tags:
            self.config.addinivalue_line("markers", f"{tag}: a tag of scenario files")
            self.add_marker(tag)

    def runtest(self) -> None:
        from harness.errors import Failure, SetupError
        from harness.report.terminal import anomaly_text
        from harness.runner import run

        try:
            self.result = run(self.loaded, options_of(self.config), part=self.name)
        except Failure as failure:
            self.machine_lacks = isinstance(failure, SetupError)
            raise pytest.fail.Exception(str(failure), pytrace=False) from None
        report = self.result.report
        self.user_properties.extend(_properties(report))
        if self.result.skipped is not None:
            pytest.skip(self.result.skipped)
        if self.result.exit_code != 0:
            pytest.fail(anomaly_text(dict(report)), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.loaded.name}::{self.name}"


def options_of(config: pytest.Config) -> Options:
    """What the command line of this pytest run chose."""
    from harness.options import Options

    option = config.option
    return Options(
        runtime=option.harness_runtime,
        engines=tuple(option.harness_engine or ()),
        engine_paths=tuple(option.harness_engine_path or ()),
        images=tuple(option.harness_image or ()),
        endpoints=tuple(option.harness_endpoint or ()),
        fault_proxy=option.harness_fault_proxy,
        ports=option.harness_ports,
        out=option.harness_out,
        keep=option.harness_keep,
        strict_capabilities=option.harness_strict_capabilities,
        seed=_seed(config.getoption("--hypothesis-seed", None)),
        examples=option.harness_examples,
    )


def _seed(value: object) -> int | None:
    """Hypothesis also takes "random" and any text as a seed; only a number can be replayed with one."""
    try:
        return None if value is None else int(str(value))
    except ValueError:
        return None


def _properties(report: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What JUnit XML says of a scenario beside its outcome."""
    proxy = report["fault_proxy"]
    chosen = {
        "verdict": report["verdict"],
        "anomalies": " ".join(anomaly["kind"] for anomaly in report["anomalies"]),
        "seed": report["seed"],
        "runtime": report["runtime"],
        "engines": " ".join(f"{node}={engine}" for node, engine in report["engines"].items()),
        "fault_proxy": f"{proxy['kind']} {proxy['version']}" if proxy else None,
        "run_dir": report["run_dir"],
        "replay": report["replay"],
    }
    return [(name, str(value)) for name, value in chosen.items() if value not in (None, "")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, ScenarioItem) and call.when == "call":
        if item.result is not None:
            report.replication_harness = json.dumps(item.result.report)  # type: ignore[attr-defined]  # travels with xdist
        if item.machine_lacks:
            report.when = "setup"  # pytest's word for "the question could not be asked": an error, not a failure
        if report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 0, report.longrepr[2])
        if report.passed and item.result is not None:
            report.sections.append(("scenario", _run_text(item.result)))
    return report


def _run_text(result: Result) -> str:
    from harness.report.terminal import run_text

    return run_text(dict(result.report))


class Gatherer:
    """Gathers the scenarios' reports where the summary is written: under xdist, not in the workers."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.others_ran = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if stored := getattr(report, "replication_harness", None):
            self.reports.append(json.loads(stored))
        elif report.when == "call" or report.outcome != "passed":
            self.others_ran = True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One table of all scenarios."""
        if not self.reports:
            return
        from harness.report.terminal import summary_table

        terminalreporter.section("scenarios")
        terminalreporter.write_line(summary_table(self.reports))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A run in which every scenario was skipped has shown nothing, and must not look like one that passed."""
        skipped = bool(self.reports) and all(report["skipped"] for report in self.reports)
        if exitstatus == pytest.ExitCode.OK and skipped and not self.others_ran:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture
def harness_deploy(request: pytest.FixtureRequest) -> Iterator[Callable[..., Deployed]]:
    """A function that starts a scenario's topology, `harness_deploy("pair.yaml")`; all is stopped after the test.

    A relative path is looked for beside the test's file first. The options of this pytest run apply.
    """
    from harness.api import deploy

    with ExitStack() as stack:

        def started(path: str | os.PathLike[str], *, overrides: Sequence[str] = ()) -> Deployed:
            beside = request.path.parent / path
            chosen = beside if beside.exists() else Path(path)
            return stack.enter_context(deploy(chosen, overrides=overrides, options=options_of(request.config)))

        yield started


def _harness_paths(config: pytest.Config) -> Iterator[tuple[Path, bool]]:
    """Folders whose YAML files are scenarios, and whether the user said so: all the files of such a folder are."""
    written = config.getini("harness_paths")
    for entry in written or ("scenarios",):
        yield config.rootpath / entry, bool(written)


def _looks_ours(path: Path) -> bool:
    """Whether a file in a folder that merely has the usual name is a scenario, however broken."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    return len(set(_OUR_KEYS.findall(head))) >= _KEYS_ENOUGH


def _is_compose(path: Path) -> bool:
    return path.stem in ("compose", "docker-compose") or path.name.startswith(("docker-compose.", "compose."))


def _may_collect(config: pytest.Config) -> bool:
    """Whether an argument of this run leads to scenario files, as far as can be told without looking for them."""
    folders = [folder for folder, _ in _harness_paths(config) if folder.is_dir()]
    for argument in config.args:
        path = Path(config.invocation_params.dir, argument.partition("::")[0])
        if path.suffix in SUFFIXES and path.is_file():
            return True
        if any(path.is_relative_to(folder) or folder.is_relative_to(path) for folder in folders):
            return True
    return False
