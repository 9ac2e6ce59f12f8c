"""Places on earth, which servers keep as scores of 52 bits."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys


def build(prefix: bytes, now_ms: int) -> DataSet:
    key = prefix + b"geo"
    writes = (
        Write(("GEOADD", key, "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"), reply=2),
    )
    scores = [b"Palermo", b"3479099956230698", b"Catania", b"3479447370796909"]
    facts = (
        Fact(("ZRANGE", key, 0, -1, "WITHSCORES"), list(scores), "scores"),
        Fact(("GEOHASH", key, "Palermo", "Catania"), [b"sqc8b49rny0", b"sqdtr74hyu0"]),
        Fact(("GEODIST", key, "Palermo", "Catania"), b"166274.1516"),
    )
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("geo", "places, by longitude and latitude", build)
