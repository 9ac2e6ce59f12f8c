"""Replication verification and topology tests for Redis-family servers. This is the whole public surface:

load(path)              a scenario file, checked
run(path)               run it and get its Verdict: outcome, as_expected, anomalies
deploy(path)            start its topology for a test of your own: a Deployed, with clients to use and links to disturb
Options                 engines, runtime, fault proxy, …: what the command line can choose
Verdict, Outcome        what was observed: valid, invalid, unknown
Anomaly, Kind           a broken guarantee, by name
Failure                 base of ScenarioError (the file is wrong), SetupError (the machine lacks something), UsageError
                        (the call is wrong) and HarnessError (we are wrong)

pytest's fixture `harness_deploy` is `deploy` for one test. Names are imported when they are first used, so that
importing the package costs nothing in environments that merely have it installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Deployed, deploy, load, run
    from harness.checker.verdict import Anomaly, Kind, Outcome, Verdict
    from harness.errors import Failure, HarnessError, ScenarioError, SetupError, UsageError
    from harness.options import Options

__version__ = "0.1.0"

__all__ = [
    "Anomaly",
    "Deployed",
    "Failure",
    "HarnessError",
    "Kind",
    "Options",
    "Outcome",
    "ScenarioError",
    "SetupError",
    "UsageError",
    "Verdict",
    "deploy",
    "load",
    "run",
]

_PLACES = {
    "harness.api": ("Deployed", "deploy", "load", "run"),
    "harness.checker.verdict": ("Anomaly", "Kind", "Outcome", "Verdict"),
    "harness.errors": ("Failure", "HarnessError", "ScenarioError", "SetupError", "UsageError"),
    "harness.options": ("Options",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    value = getattr(import_module(_PLACE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
