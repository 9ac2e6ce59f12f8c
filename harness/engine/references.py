"""References of container images, as --image gives them: read, and checked before any daemon is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.engine.catalogue import is_name
from harness.errors import UsageError
from harness.options import pair

FORM = "[HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST] with NAME in lower case, as in registry.example/redis:7.0.15"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)

_DIGEST = re.compile(r"@sha256:[^@]*\Z")


def given_images(texts: Sequence[str]) -> dict[str, str]:
    """References by the engines' names. UsageError for what is neither, or an engine that is given twice."""
    given: dict[str, str] = {}
    for text in texts:
        name, reference = pair(without_password(text), "--image ENGINE=REFERENCE")
        shown = f"--image {name}={reference}"
        if not is_name(name):
            raise UsageError(f"{shown}: {name!r} is no engine name; expected one like redis-7.0.15")
        if name in given:
            raise UsageError(f"{shown}: {name} is given as {given[name]} already; give it once")
        given[name] = checked_reference(text.partition("=")[2], f"--image {name}")
    return given


def checked_reference(reference: str, option: str) -> str:
    """The reference itself. UsageError where no image can have it; a password in it is not shown."""
    if _REFERENCE.fullmatch(reference):
        return reference
    shown = without_password(reference)
    why = f"no image can be called {shown!r}; expected {FORM}"
    if shown != reference:
        why = f"{shown!r} holds a login, which no reference has; docker login keeps it"
    raise UsageError(f"{option}: {why}")


def without_password(text: str) -> str:
    """With *** for what stands before an @ that no digest follows."""
    digest = _DIGEST.search(text)
    rest, end = (text[: digest.start()], digest[0]) if digest else (text, "")
    login, at, place = rest.rpartition("@")
    name, equals, _ = login.partition("=")
    return f"{name + equals if equals else ''}***@{place}{end}" if at else text
