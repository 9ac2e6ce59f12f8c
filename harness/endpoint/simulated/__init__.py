"""A simulated managed endpoint: a proxy that speaks RESP, in a process of its own, in front of a real server.

The package imports the standard library and itself only, so that its process starts in the time asyncio needs; what it
does comes as one line of JSON (`plan.py`), so that a product is data and never code.
"""
