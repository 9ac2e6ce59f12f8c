"""Bits set far apart, and fields of bits."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_SET = (0, 7, 8, 1000, 79_999)


def build(prefix: bytes, now_ms: int) -> DataSet:
    bits, fields = prefix + b"bitmap", prefix + b"bitmap:fields"
    value = bytearray(_SET[-1] // 8 + 1)
    for bit in _SET:
        value[bit // 8] |= 0x80 >> bit % 8
    writes = (
        *(Write(("SETBIT", bits, bit, 1), reply=0) for bit in _SET),
        Write(("BITFIELD", fields, "SET", "u8", 0, 200, "OVERFLOW", "SAT", "INCRBY", "u8", 0, 100), reply=[0, 255]),
    )
    facts = (
        Fact(("GET", bits), bytes(value)),
        Fact(("BITCOUNT", bits), len(_SET)),
        Fact(("GET", fields), b"\xff"),
    )
    return DataSet(writes, facts, keys(bits, fields))


FEATURE = Feature("bitmap", "bitmaps and fields of bits", build)
