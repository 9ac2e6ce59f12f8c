"""Slots of a cluster that move from one primary to another with their keys, and what a move has left half way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import SetupError
from harness.fault.cluster_calls import ClusterCalls
from harness.resp.connection import CannotConnect, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.half_moved import ranges

_KEYS_A_STEP = 100
_MIGRATE_MS = 10_000
_OVER = ("success", "failed", "cancelled")


class SlotMoves(ClusterCalls):
    """Moves of slots. What they leave half way is told, and can be undone."""

    def move_share(self, source: str, target: str, percent: float) -> None:
        """Move this share of the slots that one primary owns to another one: of those with keys, and of the rest."""
        owned = [
            slot
            for first, last, owner, _ in self._owners().ranges
            if owner == source
            for slot in range(first, last + 1)
        ]
        if not owned:
            raise SetupError(f"{source} owns no slot, so that none can be moved")
        full = set(self._with_keys(source, owned))
        with_keys, without = [slot for slot in owned if slot in full], [slot for slot in owned if slot not in full]
        self._move(source, target, sorted((*_share(with_keys, percent), *_share(without, percent))), full)
        self.await_agreement()

    def _move(self, source: str, target: str, slots: Sequence[int], full: set[int]) -> None:
        """Where moving one by one fails half way, it is tried once more: slots on their way must not stay there."""
        if self._move_atomically(source, target, slots):
            return
        try:
            self._move_one_by_one(source, target, slots, full)
        except SetupError as error:
            self.close()  # one of them may have gone
            try:
                self._move_one_by_one(source, target, slots, full)
            except SetupError as again:
                self.close()
                left = self._settle(source, target, slots)
                raise SetupError(f"{error}; and once more: {again}; {left}") from None

    def _settle(self, source: str, target: str, slots: Sequence[int]) -> str:
        """After a move that failed: a slot whose keys have all moved is handed over, one of which none has is its old
        owner's again. Keys are not moved back: whoever writes meanwhile could begin one anew at the other end.

        Returns in words what that led to.
        """
        try:
            view = self.servers.cluster.parsed(self._must(source, "CLUSTER", "NODES"))
            kept = [slot for slot in slots if view.of(slot) == source]
            there, here = set(self._with_keys(target, kept)), set(self._with_keys(source, kept))
            for node in (target, source):  # in this order, so that nobody is sent to the target any more
                self._checked_all(node, [("CLUSTER", "SETSLOT", slot, "STABLE") for slot in kept if slot not in there])
            self._hand_over(source, target, sorted(there - here))
        except (SetupError, CannotConnect, ConnectionLost) as error:
            return "; ".join((f"they can't be settled: {error}", *self.servers.cluster.half_moved()))
        return "; ".join(self.servers.cluster.half_moved()) or "no slot is left on its way"

    def _with_keys(self, node: str, slots: Sequence[int]) -> list[int]:
        counts = self._all(node, [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots])
        return [slot for slot, count in zip(slots, counts, strict=True) if isinstance(count, int) and count]

    def _move_atomically(self, source: str, target: str, slots: Sequence[int]) -> bool:
        """Whether the engine can do so; then it has."""
        edges = [str(edge) for stretch in ranges(slots) for edge in stretch]
        words = ("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *edges, "NODE", self.servers.cluster.ids[target])
        reply = self._connection(source).command(*words)
        if isinstance(reply, ErrorReply):
            if "unknown" in reply.text.lower():
                return False
            raise SetupError(f"{source} refuses to move slots to {target}: {reply}")
        states: list[str] = []

        def moved() -> bool:
            states[:] = _states(self._must(source, "CLUSTER", "GETSLOTMIGRATIONS"))
            if states[0] in ("failed", "cancelled"):
                raise SetupError(f"moving slots from {source} to {target} ended as {states[0]}")
            return states[0] == "success"

        try:
            self._await(moved, f"slots to move from {source} to {target}", lambda: ", ".join(states[:1]))
        except SetupError:
            self._cancel(source)  # it must not end while the keys are read
            raise
        return True

    def _cancel(self, source: str) -> None:
        """Let no migration of this node go on; engines without any refuse the question, and need not be asked."""
        reply = self._connection(source).command("CLUSTER", "CANCELSLOTMIGRATIONS")
        if isinstance(reply, ErrorReply):
            return

        def ended() -> bool:
            return all(state in _OVER for state in _states(self._must(source, "CLUSTER", "GETSLOTMIGRATIONS")))

        self._await(ended, f"{source} to give up its migrations", lambda: "they go on")

    def undo_half_moved(self) -> None:
        """Every slot that a move has left half way is whole again at its owner, which gets the keys back that stand
        elsewhere; SetupError where nobody owns it, or a key was begun anew at the other end.
        """
        primaries = [node for node in self._running() if self._role(node) == "primary"]
        for node in primaries:
            self._cancel(node)
        slots, unasked = self.servers.cluster.look().on_their_way()
        if unasked:
            raise SetupError("; ".join(unasked))
        owners = self._owners()
        for slot in dict.fromkeys(each.slot for each in slots):
            if (owner := owners.of(slot)) is None:
                raise SetupError(f"nobody owns slot {slot}, which is half moved")
            self._gather(slot, owner, [node for node in primaries if node != owner])

    def _gather(self, slot: int, owner: str, others: Sequence[str]) -> None:
        """The owner comes first: while it says that the slot is on its way, it takes no key back."""
        self._must(owner, "CLUSTER", "SETSLOT", slot, "STABLE")
        for node in others:
            if self._with_keys(node, [slot]):
                self._must(node, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.servers.cluster.ids[owner])
                self._move_keys(node, owner, slot)
            self._must(node, "CLUSTER", "SETSLOT", slot, "STABLE")

    def _move_one_by_one(self, source: str, target: str, slots: Sequence[int], full: set[int]) -> None:
        """The classic way: the slots are told to be on their way, their keys follow, then the slots are handed over."""
        ids = self.servers.cluster.ids
        empty = self._given_up(source, target, [slot for slot in slots if slot not in full])
        self._hand_over(source, target, empty)
        on_the_way = sorted(set(slots) - set(empty))
        self._checked_all(target, [("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source]) for slot in on_the_way])
        self._checked_all(source, [("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target]) for slot in on_the_way])
        for slot in on_the_way:
            self._move_keys(source, target, slot)
        self._hand_over(source, target, on_the_way)

    def _given_up(self, source: str, target: str, slots: Sequence[int]) -> list[int]:
        """Those of these empty slots that their old owner gives up; it keeps one that somebody filled since the look.

        It is asked first: a target that owned such a slot already would never get the keys that came meanwhile.
        """
        commands = [("CLUSTER", "SETSLOT", slot, "NODE", self.servers.cluster.ids[target]) for slot in slots]
        replies = self._all(source, commands)
        return [slot for slot, reply in zip(slots, replies, strict=True) if not isinstance(reply, ErrorReply)]

    def _hand_over(self, source: str, target: str, slots: Sequence[int]) -> None:
        """All nodes are told who owns these slots from now on."""
        if not slots:
            return
        # A slot that was never marked as on its way brings its new owner no new epoch, and then an older message of the
        # old owner would take it back.
        self._must(target, "CLUSTER", "BUMPEPOCH")
        others = dict.fromkeys(owner for _, _, owner, _ in self._owners().ranges)
        handed_over = [("CLUSTER", "SETSLOT", slot, "NODE", self.servers.cluster.ids[target]) for slot in slots]
        for node in (target, source, *(other for other in others if other not in (source, target))):
            self._checked_all(node, handed_over)

    def _move_keys(self, source: str, target: str, slot: int) -> None:
        host, port = self.servers.inside(target)
        while True:
            keys = self._must(source, "CLUSTER", "GETKEYSINSLOT", slot, _KEYS_A_STEP)
            if not isinstance(keys, list) or not keys:
                return
            named = [key for key in keys if isinstance(key, bytes)]
            self._must(source, "MIGRATE", host, port, "", 0, _MIGRATE_MS, "KEYS", *named)


def _share(slots: Sequence[int], percent: float) -> Sequence[int]:
    """This share of the slots, rounded up."""
    return slots[: -int(-len(slots) * percent // 100)]


def _states(reply: Reply) -> list[str]:
    """The states of the migrations that a node tells, the newest first; those of earlier ones are over."""
    found = []
    for entry in reply if isinstance(reply, list) else []:
        words = entry if isinstance(entry, list) else []
        fields: Mapping[object, object] = dict(zip(words[::2], words[1::2], strict=False))
        state = fields.get(b"state")
        found.append(state.decode() if isinstance(state, bytes) else str(state))
    return found
