"""The compatibility matrix: which engine can feed which, with what data, by what kind of sync."""
