"""Which server can read what another one writes: the RDB versions, and what a data set adds to them. Measured."""

from __future__ import annotations

from harness.engine.catalogue import version_key
from harness.engine.differences import FIELD_TTLS_SINCE, rdb_version


def cannot_feed(source: tuple[str, str], target: tuple[str, str], *, field_ttls: bool) -> str | None:
    """Why the target can't be a replica of the source or load its RDB; None where it can. (family, version) each."""
    written, readable = rdb_version(*source), rdb_version(*target)
    names = f"{'-'.join(target)} can't read what {'-'.join(source)} writes"
    if written is None or readable is None:
        return f"{names}, as far as is known: no rule for {source[0] if written is None else target[0]}"
    if written > readable:
        return f"{names}: its RDB has version {written}, and {readable} is the newest that the target knows"
    since = FIELD_TTLS_SINCE.get(source[0])
    if field_ttls and (source[0] != target[0] or since is None or version_key(target[1]) < since):
        return f"{names}: the data holds hash fields that expire, in a form that only {source[0]} knows"
    return None
