"""The text of a refusal, word for word as the product gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .plan import Wording

_ROOM: Final = 128  # bytes that servers show of a name, and of all arguments together


def refusal(wording: Wording, words: Sequence[bytes], *, subcommand: bool) -> bytes:
    """The error line, without its sign and line end. subcommand: it is words[1] that is refused, not the command."""
    template = wording.subcommand if subcommand and wording.subcommand else wording.command
    full = words[0].lower() + (b"|" + words[1].lower() if subcommand else b"")
    values = {
        "name": words[0][:_ROOM],
        "full": full[:_ROOM],
        "subcommand": words[1][:_ROOM] if len(words) > 1 else b"",
        "command": words[0].upper()[:_ROOM],
        "arguments": _arguments(wording.argument, words[1:]),
    }
    text = template.format(**{name: value.decode("latin-1") for name, value in values.items()})
    return text.encode("latin-1", "replace").replace(b"\r", b" ").replace(b"\n", b" ")


def _arguments(form: str, words: Sequence[bytes]) -> bytes:
    shown = ""
    for word in words:
        if len(shown) >= _ROOM:
            break
        shown += form.format(word.decode("latin-1")[: _ROOM - len(shown)])
    return shown.encode("latin-1", "replace")
