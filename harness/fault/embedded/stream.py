"""One direction of one connection: bytes of the sender pass the chain of stages and are written to the receiver.

Order is kept because every stage is a queue and pieces only move forward. Memory stays bounded because the sender is
not read while the receiver does not take what is there, or while a stage holds more than its patience. Where no toxic
is at work, bytes are written straight through.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from .toxics import END, KINDS, Piece, Stage

_TURN: Final = 512  # pieces written before other connections get their turn


class Toxic:
    """One toxic of a proxy as its API shows it. stream: as the client wrote it; direction: the same in lower case."""

    def __init__(self, name: str, kind: str, stream: str, toxicity: float, attributes: dict[str, int]) -> None:
        self.name, self.kind, self.stream, self.toxicity, self.attributes = name, kind, stream, toxicity, attributes
        self.direction = stream.lower()

    def meets(self) -> bool:
        """Draw whether it meets a connection."""
        return random.random() < self.toxicity

    def stage(self, now: float) -> Stage:
        return KINDS[self.kind](self.attributes, now, active=self.meets())


class Line:
    """The way from `source` to `target`. Whoever owns both ends tells it what happens at them, and is told when
    the line has ended (`on_end`): then `target` is to be closed once what was written has left.
    """

    def __init__(
        self, source: asyncio.Transport, target: asyncio.Transport, toxics: list[Toxic], on_end: Callable[[Line], None]
    ) -> None:
        self.source, self.target, self._on_end = source, target, on_end
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._stages = [toxic.stage(now) for toxic in toxics]
        self._outlet = Stage({}, now)  # what has passed all toxics and waits for room
        self._timer: asyncio.TimerHandle | None = None
        self._sender_waits = False
        self._blocked = False  # the receiver does not take what was written
        self._input_ended = False
        self.ended = False
        self._look_at_stages()

    def start(self) -> None:
        """Both lines of the connection are there: read from the sender, and let time pass for the toxics."""
        self.source.resume_reading()
        self._pump()

    # -- what happens at the two ends

    def feed(self, data: bytes) -> None:
        """The sender has sent something."""
        if self.ended or self._input_ended:
            return
        if self._straight and not self._blocked:
            self.target.write(data)
            return
        now = self._loop.time()
        self._first.put(now, (now, memoryview(data)))
        self._pump()

    def feed_end(self) -> None:
        """The sender has closed, or is gone: what it has sent before still passes."""
        if self.ended or self._input_ended:
            return
        self._input_ended = True
        now = self._loop.time()
        self._first.put(now, (now, END))
        self._pump()

    def block(self) -> None:
        """The receiver takes no more for now."""
        self._blocked = True
        self._hold_sender()

    def unblock(self) -> None:
        self._blocked = False
        self._pump()

    def end(self) -> None:
        """Let nothing more through; whatever is still held is lost."""
        if self.ended:
            return
        self.ended = True
        self._cancel_timer()
        self.source.pause_reading()  # closing it with bytes unread tells the sender that they were lost
        self._stages.clear()
        self._outlet = Stage({}, 0.0)
        self._on_end(self)

    # -- toxics come, change and go, by their place in the chain

    def add(self, toxic: Toxic) -> None:
        if not self.ended:
            self._stages.append(toxic.stage(self._loop.time()))
            self._changed()

    def update(self, place: int, toxic: Toxic) -> None:
        if not self.ended:
            stage = self._stages[place]
            stage.active = toxic.meets()
            stage.configure(toxic.attributes, self._loop.time())
            self._changed()

    def remove(self, place: int) -> None:
        """What the toxic held goes on at once, in order; where it had lost bytes the connection ends."""
        if self.ended:
            return
        stage = self._stages.pop(place)
        if stage.spoils_connection and not stage.over:
            self.end()
            return
        following = self._stages[place] if place < len(self._stages) else self._outlet
        now = self._loop.time()
        for piece in stage.drain():
            following.put(now, piece)
        self._changed()

    def _changed(self) -> None:
        self._look_at_stages()
        self._pump()

    def _look_at_stages(self) -> None:
        self._first = self._stages[0] if self._stages else self._outlet
        self._patience = max([self._outlet.patience, *(stage.patience for stage in self._stages if stage.active)])
        self._note_whether_straight()

    def _note_whether_straight(self) -> None:
        self._straight = not self._held and not any(stage.active for stage in self._stages)

    @property
    def _held(self) -> int:
        return self._outlet.held + sum(stage.held for stage in self._stages)

    # -- moving pieces

    def _pump(self) -> None:
        """Move on whatever may move now, and set the timer for the next thing that will."""
        if self.ended:
            return
        self._cancel_timer()
        now = self._loop.time()
        for place, stage in enumerate(self._stages):
            following = self._stages[place + 1] if place + 1 < len(self._stages) else self._outlet
            while (piece := stage.take(now)) is not None:
                following.put(now, piece)
        if self._write_out(now):
            self._set_timer(now)
            self._note_whether_straight()
            self._hold_sender()

    def _write_out(self, now: float) -> bool:
        """False if the line has ended with it."""
        for _ in range(_TURN):
            if self._blocked or (piece := self._outlet.take(now)) is None:
                return True
            if not self._write(piece):
                return False
        self._timer = self._loop.call_at(now, self._pump)
        return True

    def _write(self, piece: Piece) -> bool:
        data = piece[1]
        if data is END:
            self.end()
            return False
        if not self.target.is_closing():  # else it is lost, and whoever owns it will say so in a moment
            self.target.write(data)
        return True

    def _set_timer(self, now: float) -> None:
        if self._timer is None:
            times = [due for stage in self._stages if (due := stage.due(now)) is not None]
            if times:
                self._timer = self._loop.call_at(max(now, min(times)), self._pump)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hold_sender(self) -> None:
        if self.ended:
            return
        wait = self._blocked or self._held > self._patience
        if wait != self._sender_waits:
            self._sender_waits = wait
            if wait:
                self.source.pause_reading()
            else:
                self.source.resume_reading()
