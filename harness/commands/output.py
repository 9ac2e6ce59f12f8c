"""Standard output carries the result and nothing else; a reader who has seen enough does not change how a run ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.errors import SetupError, UsageError


class Output:
    """Writes to standard output until its reader is gone, then nowhere; SetupError where a full disk takes nothing."""

    def __init__(self) -> None:
        self.closed = False

    def line(self, text: str) -> None:
        self.blocks((text.encode("utf-8", "backslashreplace") + b"\n",))

    def json_line(self, value: Mapping[str, object]) -> None:
        """One object in one line, at once, so that whoever reads along sees each scenario as it ends."""
        self.line(json.dumps(value))

    def blocks(self, blocks: Iterable[bytes]) -> None:
        """Bytes as they come; stops asking for more when nobody reads them."""
        if self.closed:
            return
        try:
            sys.stdout.flush()
            for block in blocks:
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
        except OSError as error:
            self.closed = True
            drop_output()
            if not isinstance(error, BrokenPipeError):
                raise SetupError(f"standard output can't be written: {error.strerror}") from None


def aside(text: str) -> None:
    """What is not the result goes to standard error."""
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        return  # nobody reads our remarks any more; the result is not touched by that


def must_be_writable(option: str, path: Path | None) -> None:
    """UsageError where a report could not be put there in the end, before anything is done."""
    if path is None:
        return
    reason = ""
    if path.is_dir():
        reason = "it is a folder"
    elif not path.parent.is_dir():
        reason = f"there is no folder {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "no permission"
    if reason:
        raise UsageError(f"{option} {path}: it can't be written: {reason}")


def drop_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's own last flush can't fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
