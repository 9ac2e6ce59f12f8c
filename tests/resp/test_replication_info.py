from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.replication import ReplicationInfo
from harness.resp.replication_info import (
    credentials_for_primary,
    drop_replication_connection,
    info_fields,
    parse_replication,
    replicate_from,
    stop_replicating,
    sync_bytes,
)
from harness.resp.replies import ErrorReply, Status
from harness.topology import Role

PRIMARY = """# Replication\r
role:master\r
connected_slaves:1\r
slave0:ip=127.0.0.1,port=7502,state=online,offset=140,lag=0\r
master_failover_state:no-failover\r
master_replid:62cd6bfbdcec3b943f99f5ebfbede1fc20527a73\r
master_replid2:0000000000000000000000000000000000000000\r
master_repl_offset:154\r
second_repl_offset:-1\r
"""

REPLICA = """# Replication\r
role:slave\r
master_host:127.0.0.1\r
master_link_status:down\r
master_sync_in_progress:1\r
slave_read_repl_offset:170\r
slave_repl_offset:154\r
master_sync_total_bytes:1000\r
master_sync_read_bytes:400\r
connected_slaves:0\r
master_replid:62cd6bfbdcec3b943f99f5ebfbede1fc20527a73\r
master_replid2:41e3c590c897af2e037515556e36447902128906\r
master_repl_offset:154\r
second_repl_offset:101\r
"""


def test_a_primary():
    assert parse_replication(PRIMARY) == ReplicationInfo(
        role=Role.PRIMARY,
        replication_id="62cd6bfbdcec3b943f99f5ebfbede1fc20527a73",
        second_replication_id="0" * 40,
        offset=154,
        second_offset=-1,
        processed_offset=None,
        read_offset=None,
        link_up=None,
        sync_in_progress=False,
        connected_replicas=1,
    )


def test_a_replica_in_a_full_sync():
    assert parse_replication(REPLICA) == ReplicationInfo(
        role=Role.REPLICA,
        replication_id="62cd6bfbdcec3b943f99f5ebfbede1fc20527a73",
        second_replication_id="41e3c590c897af2e037515556e36447902128906",
        offset=154,
        second_offset=101,
        processed_offset=154,
        read_offset=170,
        link_up=False,
        sync_in_progress=True,
        connected_replicas=0,
    )
    assert sync_bytes(REPLICA) == 400
    assert sync_bytes(PRIMARY) == 0


def test_an_old_replica_does_not_tell_what_it_has_read():
    text = REPLICA.replace("slave_read_repl_offset:170\r\n", "").replace("status:down", "status:up")
    info = parse_replication(text)
    assert info.read_offset is None
    assert info.link_up is True


def test_a_managed_endpoint_that_tells_nothing_but_its_role():
    info = parse_replication("role:master\nmaster_repl_offset:0\n")
    assert (info.replication_id, info.offset, info.second_offset) == ("", 0, -1)


def test_a_text_without_a_role_is_an_error():
    with pytest.raises(HarnessError, match="names no role that is known: '# Server"):
        parse_replication("# Server\r\nredis_version:7.0.15\r\n")


def test_an_offset_that_is_no_number_is_an_error():
    with pytest.raises(HarnessError, match="master_repl_offset is 'many', a number was expected"):
        parse_replication("role:master\r\nmaster_repl_offset:many\r\n")


def test_fields_keep_colons_in_values():
    assert info_fields("# Server\r\nexecutable:/a:b\r\n\r\nrun_id:7\r\n") == {"executable": "/a:b", "run_id": "7"}


class Recorder:
    def __init__(self, reply):
        self.reply, self.sent = reply, []

    def __call__(self, *words):
        self.sent.append(words)
        return self.reply


@pytest.mark.parametrize("reply", [Status("OK"), Status("OK Already connected to specified master"), b"OK", "OK", True])
def test_replicate_from(reply):
    send = Recorder(reply)
    replicate_from(send, "127.0.0.1", 6379)
    assert send.sent == [("REPLICAOF", "127.0.0.1", 6379)]


def test_a_refused_command_is_an_error():
    with pytest.raises(HarnessError, match="REPLICAOF NO ONE was answered with 'ERR not allowed'"):
        stop_replicating(Recorder(ErrorReply("ERR not allowed")))
    with pytest.raises(HarnessError, match="CLIENT KILL was answered with ErrorReply"):
        drop_replication_connection(Recorder(ErrorReply("NOPERM no")))


def test_the_number_of_dropped_connections():
    assert drop_replication_connection(Recorder(1)) == 1


def test_credentials_for_the_primary():
    assert credentials_for_primary("secret") == (("masterauth", "secret"),)
    assert credentials_for_primary("secret", "repl") == (("masteruser", "repl"), ("masterauth", "secret"))
