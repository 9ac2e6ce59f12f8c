import pytest

from harness.endpoint.profile import profile, profiles
from harness.errors import UsageError


def test_a_scenario_may_name_these() -> None:
    assert list(profiles()) == ["oss", "redis-enterprise"]


def test_oss_refuses_nothing() -> None:
    oss = profile("oss")

    assert (oss.port, oss.refused, oss.restricted, oss.label) == (None, (), False, "oss")
    assert profiles()["oss"] == oss


def test_redis_enterprise() -> None:
    enterprise = profile("redis-enterprise")

    assert enterprise.port == 10878
    assert enterprise.restricted
    assert enterprise.label == "simulated redis-enterprise"
    assert {"replicaof", "role", "config|set", "sync", "psync", "shutdown", "debug", "select"} <= set(
        enterprise.refused
    )
    assert not {"get", "lrange", "info", "scan", "config|get", "config", "client", "acl"} & set(enterprise.refused)
    assert len(set(enterprise.refused)) == len(enterprise.refused)


def test_another_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no profile 'redis-enterprize'; expected one of: oss, redis-enterprise"):
        profile("redis-enterprize")
