"""This file is run by its path, which starts fastest: nothing else of the harness is loaded."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _run() -> None:
    if __package__:
        from .process import main
    else:
        sys.path.append(str(Path(__file__).resolve().parent.parent))
        main = importlib.import_module("simulated.process").main
    main()


_run()
