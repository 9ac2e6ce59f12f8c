"""The pytest plugin: scenario files become test items. It is loaded in every pytest run, so nothing heavy at the top."""

from __future__ import annotations
