from __future__ import annotations

from typing import Any

import pytest

from harness.checker.evidence import Target
from harness.checker.offsets import reached
from harness.replication import ReplicationInfo
from harness.topology import Role

ID, OTHER, ZEROS = "a" * 40, "b" * 40, "0" * 40


def node(role: Role, **fields: Any) -> ReplicationInfo:
    seen: dict[str, Any] = {
        "replication_id": ID,
        "second_replication_id": ZEROS,
        "offset": 0,
        "second_offset": -1,
        "processed_offset": None,
        "read_offset": None,
        "link_up": None,
        "sync_in_progress": False,
        "connected_replicas": 0,
    }
    return ReplicationInfo(role, **(seen | fields))


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (node(Role.REPLICA, processed_offset=100), True),
        (node(Role.REPLICA, processed_offset=101), True),
        (node(Role.REPLICA, processed_offset=99), False),
        (node(Role.REPLICA, processed_offset=99, read_offset=200, offset=200), False),
        (node(Role.REPLICA), False),
        (node(Role.REPLICA, processed_offset=100, replication_id=OTHER), False),
        (node(Role.REPLICA, processed_offset=100, replication_id=OTHER, second_replication_id=ID), False),
        (node(Role.PRIMARY, replication_id=OTHER, second_replication_id=ID, second_offset=101, offset=500), True),
        (node(Role.PRIMARY, replication_id=OTHER, second_replication_id=ID, second_offset=100, offset=500), False),
        (node(Role.PRIMARY, replication_id=OTHER, offset=500), False),
        (node(Role.PRIMARY, offset=100), True),
        (node(Role.PRIMARY, offset=99), False),
    ],
)
def test_a_target_is_reached_when_its_history_was_executed_that_far(info: ReplicationInfo, expected: bool) -> None:
    assert reached(Target(ID, 100, {}), info) is expected


@pytest.mark.parametrize("hidden", ["", ZEROS])
def test_a_hidden_id_proves_nothing(hidden: str) -> None:
    info = node(Role.REPLICA, processed_offset=100, replication_id=hidden)
    assert reached(Target(hidden, 0, {}), info) is False
