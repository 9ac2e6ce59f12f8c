"""Answers of managed endpoints, for a RespProxy in front of an ordinary server."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.resp_proxy import Answer, Error, Reply, Simple

BLOCKED = {b"ROLE", b"REPLICAOF", b"PSYNC", b"REPLCONF", b"DEBUG", b"SAVE"}


def hiding(*fields: bytes) -> Answer:
    """INFO without these fields."""

    def answer(request: list[bytes], ask: Callable[[], Reply]) -> Reply:
        reply = ask()
        if request[0].upper() != b"INFO" or not isinstance(reply, bytes):
            return reply
        return b"\r\n".join(line for line in reply.split(b"\r\n") if line.partition(b":")[0] not in fields)

    return answer


def enterprise(*, real: bool = False) -> Answer:
    """What a Replica Of destination shows: a primary that stands at offset 0, and no run_id. real: it answers DPING."""

    def answer(request: list[bytes], ask: Callable[[], Reply]) -> Reply:
        name = request[0].upper()
        if name == b"DPING" and real:
            return Simple(b"PONG")
        if name in BLOCKED:
            return Error(b"ERR command is not allowed")
        if name == b"INFO" and request[1:] == [b"replication"]:
            return b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n"
        return hiding(b"run_id")(request, ask)

    return answer


def refusing(command: bytes, error: bytes) -> Answer:
    """This command gets this error, and is not sent on; no run_id is shown."""

    def answer(request: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return Error(error) if request[0].upper() == command else hiding(b"run_id")(request, ask)

    return answer
