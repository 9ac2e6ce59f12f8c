"""`python -m harness.fault.embedded`; or this file by its path, which starts faster: nothing else is loaded then."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _run() -> None:
    if __package__:
        from .process import main
    else:
        sys.path.append(str(Path(__file__).resolve().parent.parent))
        main = importlib.import_module("embedded.process").main
    main(sys.argv[1:])


_run()
