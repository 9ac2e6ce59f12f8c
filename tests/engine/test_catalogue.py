import pytest

from harness.engine.catalogue import CATALOGUE, FAMILIES, fits, is_name, version_key


def test_every_engine_is_listed_once_and_can_be_had_somehow() -> None:
    names = [listed.name for listed in CATALOGUE]

    assert len(set(names)) == len(names)
    for listed in CATALOGUE:
        assert listed.family in FAMILIES
        assert is_name(listed.name)
        assert listed.wheel or (listed.suite and listed.package) or listed.image


@pytest.mark.parametrize(
    ("requested", "version", "met"),
    [
        ("redis", "7.0.15", True),
        ("redis-7", "7.0.15", True),
        ("redis-7.0", "7.0.15", True),
        ("redis-7.0.15", "7.0.15", True),
        ("redis-7.0.1", "7.0.15", False),
        ("redis-70", "7.0.15", False),
        ("valkey", "7.0.15", False),
    ],
)
def test_which_requests_redis_meets(requested: str, version: str, met: bool) -> None:
    assert fits(requested, "redis", version) is met


@pytest.mark.parametrize("name", ["redis-7.0.15", "valkey", "broken", "redis-8.0-rc1", "my_own-7"])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "redis ", "redis-", "-7", "7.0", "redis/7", "redis=7", "redis\n"])
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)


def test_versions_are_ordered_by_number() -> None:
    assert version_key("7.0.15") > version_key("7.0.9") > version_key("6.2.14")
