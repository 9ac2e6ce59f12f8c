"""A fault proxy that needs nothing but Python: Toxiproxy's REST API and toxics, for machines that have no Toxiproxy.

It runs as a process of its own (`python -m harness.fault.embedded`) and ends when its standard input closes, so that
it never outlives the process that started it. It is written from Toxiproxy 2.12's observed behaviour; where that
server has a defect that no client can want (a crash on a negative rate, a half-applied update), this one has not.

Only the standard library is imported, and nothing of `harness` outside this package: it must be ready in a moment.
"""
