"""Side by side on the same servers: the harness, the naive way, and a floor that shows what the servers allow.

Absolute times say more of a machine than of a program, so every result is a ratio of two times taken in turns.
"""
