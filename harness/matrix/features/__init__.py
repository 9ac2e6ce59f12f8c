"""The features of the matrix by their names: one file each, and this one table that feeds the command line."""

from __future__ import annotations

from importlib import import_module

from harness.matrix.features.base import Feature

_NAMES = (
    *("list", "large_list", "string", "hash", "hash_field_ttl", "set", "sorted_set", "stream", "bitmap", "hyperloglog"),
    *("geo", "ttl", "databases", "functions", "scripts", "transactions", "large_values", "binary_keys", "vector_set"),
    "json",
)
FEATURES: dict[str, Feature] = {name: import_module(f"{__name__}.{name}").FEATURE for name in _NAMES}
SMALL = ("list", "hash", "sorted_set", "stream", "ttl")  # what `harness matrix` takes unless told otherwise
