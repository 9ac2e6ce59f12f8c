"""Which server can read what another one writes: the RDB versions, and what a data set adds to them. Measured."""

from __future__ import annotations

from harness.engine.catalogue import version_key

# family: (from this version on, the RDB version that it writes and reads), newest first
_RDB: dict[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "redis": (((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9), ((4, 0), 8), ((0,), 7)),
    "redict": (((7, 3), 12), ((0,), 11)),
    "valkey": (((0,), 11),),
}
_WITH_FIELD_TTLS = {"redis": (7, 4), "valkey": (9,)}  # from which version on; one family does not read the other's


def rdb_version(family: str, version: str) -> int | None:
    """None for a family that is not known."""
    return next((rdb for since, rdb in _RDB.get(family, ()) if version_key(version) >= since), None)


def cannot_feed(source: tuple[str, str], target: tuple[str, str], *, field_ttls: bool) -> str | None:
    """Why the target can't be a replica of the source or load its RDB; None where it can. (family, version) each."""
    written, readable = rdb_version(*source), rdb_version(*target)
    names = f"{'-'.join(target)} can't read what {'-'.join(source)} writes"
    if written is None or readable is None:
        return f"{names}, as far as is known: no rule for {source[0] if written is None else target[0]}"
    if written > readable:
        return f"{names}: its RDB has version {written}, and {readable} is the newest that the target knows"
    since = _WITH_FIELD_TTLS.get(source[0])
    if field_ttls and (source[0] != target[0] or since is None or version_key(target[1]) < since):
        return f"{names}: the data holds hash fields that expire, in a form that only {source[0]} knows"
    return None
