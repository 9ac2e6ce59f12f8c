"""What exactly differs between two values that were read whole, or between two pieces from the same index on. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.compare.model import Finding, kept

LOOK_AHEAD = 2_000  # elements after the first difference in which its kind is looked for
_ALIKE = 16  # elements that must agree again before a gap or an insertion is called one
_EXCERPT = 64  # bytes of a string around its first difference

Pairs = Sequence[tuple[bytes, bytes]]


def list_difference(a: Sequence[bytes], b: Sequence[bytes], offset: int, ends: bool) -> list[Finding]:
    """The first difference. a, b: elements from index `offset` on; ends: whether both go to the ends of the lists."""
    first = _first(a, b)
    if first is None:
        return []
    at, rest_a, rest_b = offset + first, a[first:], b[first:]
    if not rest_b:
        return [Finding("tail_missing", at, rest_a[0], None, len(rest_a))]
    if not rest_a:
        return [Finding("tail_extra", at, None, rest_b[0], len(rest_b))]
    kind, count = _kind_of_break(rest_a[:LOOK_AHEAD], rest_b[:LOOK_AHEAD], ends)
    return [Finding(kind, at, rest_a[0], rest_b[0], count)]


def _kind_of_break(a: Sequence[bytes], b: Sequence[bytes], ends: bool) -> tuple[str, int]:
    """Of two pieces whose first elements differ."""
    for width in sorted({*range(2, 9), 16, 64, 256, 1000, max(len(a), len(b))}):
        if width <= min(len(a), len(b)) and sorted(a[:width]) == sorted(b[:width]):
            return "order", 1
    for gap in range(1, max(len(a), len(b))):
        if _goes_on(a, b, gap, ends):
            return "element_missing", gap
        if _goes_on(b, a, gap, ends):
            return "element_extra", gap
    return "element", 1


def _goes_on(long: Sequence[bytes], short: Sequence[bytes], gap: int, ends: bool) -> bool:
    """Whether `short` is what `long` is after the gap, for as far as can be asked."""
    if gap >= len(long) or long[gap] != short[0]:
        return False
    width = min(_ALIKE, len(long) - gap, len(short))
    full = width == _ALIKE or (ends and width == len(short))
    return full and long[gap : gap + width] == short[:width]


def _first(a: Sequence[bytes], b: Sequence[bytes]) -> int | None:
    for index, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return index
    return None if len(a) == len(b) else min(len(a), len(b))


def string_difference(a: bytes, b: bytes, offset: int = 0) -> list[Finding]:
    """a, b: bytes from this offset on. expected and found begin at the first byte that differs."""
    if a == b:
        return []
    low, high = 0, min(len(a), len(b))  # a[:low] == b[:low]
    if a[:high] == b[:high]:
        low = high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return [Finding("value", offset + low, a[low : low + _EXCERPT], b[low : low + _EXCERPT])]


def score_bits(text: bytes) -> bytes:
    """A score as servers write it, in whatever notation, as the 8 bytes of its double."""
    return struct.pack(">d", float(text))


def sorted_set_difference(a: Pairs, b: Pairs) -> list[Finding]:
    """a, b: (member, score)."""
    return mapping_difference(dict(a), dict(b), ("member_missing", "member_extra", "score"), score_bits)


def hash_difference(a: Pairs, b: Pairs) -> list[Finding]:
    return mapping_difference(dict(a), dict(b), ("field_missing", "field_extra", "value"))


def stream_difference(a: Mapping[bytes, bytes], b: Mapping[bytes, bytes]) -> list[Finding]:
    """a, b: the entries' content by id."""
    return mapping_difference(a, b, ("entry_missing", "entry_extra", "value"))


def set_difference(a: Iterable[bytes], b: Iterable[bytes]) -> list[Finding]:
    nothing = b""
    kinds = ("member_missing", "member_extra", "")
    found = mapping_difference(dict.fromkeys(a, nothing), dict.fromkeys(b, nothing), kinds)
    return [
        replace(each, expected=each.at, found=None)
        if each.kind == "member_missing"
        else replace(each, expected=None, found=each.at)
        for each in found
    ]


def mapping_difference(
    a: Mapping[bytes, bytes],
    b: Mapping[bytes, bytes],
    kinds: tuple[str, str, str],
    same_as: Callable[[bytes], bytes] = bytes,
) -> list[Finding]:
    """kinds: missing on B, extra on B, different; one Finding each, with its first (smallest) key and the number."""
    places = (
        sorted(a.keys() - b.keys()),
        sorted(b.keys() - a.keys()),
        sorted(key for key in a.keys() & b.keys() if a[key] != b[key] and same_as(a[key]) != same_as(b[key])),
    )
    return [
        Finding(kind, keys[0], a.get(keys[0]), b.get(keys[0]), len(keys))
        for kind, keys in zip(kinds, places, strict=True)
        if keys
    ]


def _bounded(finding: Finding) -> Finding:
    """The same, with no more than `kept` leaves of long values."""
    at, expected, found = (kept(each) if isinstance(each, bytes) else each for each in _places(finding))
    return replace(finding, at=at, expected=expected, found=found)


def _places(finding: Finding) -> tuple[bytes | int | None, ...]:
    return finding.at, finding.expected, finding.found


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One for each kind: the first, with the sum of the counts."""
    found: dict[str, Finding] = {}
    for each in map(_bounded, findings):
        before = found.get(each.kind)
        if before is None:
            found[each.kind] = each
        else:
            found[each.kind] = replace(before, count=before.count + each.count)
    return list(found.values())
