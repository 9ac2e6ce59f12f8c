"""Whether a node agrees with itself: the length that it told right before it was read, beside what it then sent.

After convergence nothing of ours writes, so that the two are equal, for every type of key. A cursor that leaves an
element out would otherwise hide one that nobody expected, and no list of what must be there would miss it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.checker.evidence import Reading, Stream
from harness.checker.expected import ExpectedOrder


def contradiction(reading: Reading, stream: Stream) -> str:
    """In words, how the node contradicts itself about this key."""
    kind, unit, told = stream.data_type, "elements" if reading.size is None else "bytes", reading.told or 0
    return (
        f"{reading.node} contradicts itself: {kind.length} of {stream.key} told {told} {unit}, and "
        f"{told + reading.beyond} were read"
    )


def may_be_late(reading: Reading, together: Sequence[Stream], orders: Mapping[str, ExpectedOrder]) -> bool:
    """Whether bytes of connections that broke unfenced, executed while the key was read, explain all that is more."""
    open_commands = [each for stream in together if stream.name in orders for each in orders[stream.name].opens]
    late = sum(commands.total for commands in open_commands if commands.floating)
    return 0 < reading.beyond <= late * together[0].data_type.unit
