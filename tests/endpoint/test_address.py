from __future__ import annotations

import pytest

from harness.endpoint.address import Endpoint, read_endpoint, read_endpoints
from harness.errors import ExitCode, UsageError

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Endpoint("h", 6379)),
        ("redis://127.0.0.1:10878", Endpoint("127.0.0.1", 10878)),
        ("redis://[::1]:7000/3", Endpoint("::1", 7000, db=3)),
        ("redis://:pw@h/2", Endpoint("h", 6379, password="pw", db=2)),
        ("redis://me:p%40%2F%23w@h:1", Endpoint("h", 1, user="me", password="p@/#w")),
        ("redis://me:@h:1", Endpoint("h", 1, user="me", password="")),
        ("redis://:p:w@h", Endpoint("h", 6379, password="p:w")),
        ("rediss://h:6380/0?ca_file=/etc/ca.pem", Endpoint("h", 6380, tls=True, ca_file="/etc/ca.pem")),
        ("rediss://h?ca_file=a%20b.pem", Endpoint("h", 6379, tls=True, ca_file="a b.pem")),
    ],
)
def test_a_url_says_where_and_as_whom(url, expected):
    found = Endpoint.parse(url)
    assert (found, found.password) == (expected, expected.password)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "does not begin with redis://"),
        (f"http://:{SECRET}@h", "does not begin with redis://"),
        (f"{SECRET}@h:6379", "does not begin with redis://"),
        (f"redis://:{SECRET}@", "names no host"),
        (f"redis://:{SECRET}/x@h:6379", "names no host"),
        (f"redis://u:{SECRET}/x@h:6379", "port is not a number"),
        (f"redis://u:12/{SECRET}@h", "database is not a number"),
        (f"redis://u:12?{SECRET}@h", "not one ca_file=PATH"),
        (f"redis://u:12#{SECRET}@h", "something follows a #"),
        (f"redis://:{SECRET}[@h", "can't be read as a URL"),
        (f"redis://:{SECRET}\u2100@h", "can't be read as a URL"),
        (f"redis://:{SECRET} x@h", "a blank or a control character"),
        (f"redis://:{SECRET}\n@h", "a blank or a control character"),
        (f"redis://:{SECRET}@h:0", "port is not a number"),
        (f"redis://:{SECRET}@h:65536", "port is not a number"),
        (f"redis://:{SECRET}@h:-1", "port is not a number"),
        (f"redis://:{SECRET}@h/-1", "database is not a number"),
        (f"redis://:{SECRET}@h/1/2", "database is not a number"),
        (f"redis://:{SECRET}@h?ca_file=x", "a ca_file needs rediss://"),
        (f"rediss://:{SECRET}@h?cafile={SECRET}", "not one ca_file=PATH"),
        (f"rediss://:{SECRET}@h?ca_file=", "not one ca_file=PATH"),
        (f"rediss://:{SECRET}@h?ca_file=a&ca_file=b", "not one ca_file=PATH"),
    ],
)
def test_what_is_no_url_of_an_endpoint_is_refused_without_showing_any_of_it(url, why):
    with pytest.raises(UsageError, match=why) as caught:
        read_endpoint(url, {}, "a")
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert "--endpoint a=…" in str(caught.value)


def test_an_endpoint_never_shows_its_password():
    endpoint = Endpoint.parse(f"redis://me:{SECRET}@h:1/2")
    assert str(endpoint) == "redis://me@h:1/2"
    assert SECRET not in repr(endpoint)
    assert SECRET not in repr(endpoint.with_address("i", 2))


def test_credentials_can_stay_out_of_the_command_line():
    environ = {
        "HARNESS_ENDPOINT_A_USER": "me",
        "HARNESS_ENDPOINT_A_PASSWORD": SECRET,
        "HARNESS_ENDPOINT_B_1_PASSWORD": "b",
    }
    found = read_endpoints(["a=redis://h:1", "b-1=redis://h:2", "c=redis://h:3"], environ)
    assert {name: (endpoint.user, endpoint.password) for name, endpoint in found.items()} == {
        "a": ("me", SECRET),
        "b-1": (None, "b"),
        "c": (None, None),
    }


def test_what_stands_in_the_url_counts_more_than_the_environment():
    environ = {"HARNESS_ENDPOINT_A_USER": "other", "HARNESS_ENDPOINT_A_PASSWORD": "other"}
    found = read_endpoint("redis://me:mine@h", environ, "a")
    assert (found.user, found.password) == ("me", "mine")
    assert read_endpoint("redis://me@h", environ, "a").password == "other"


def test_an_endpoint_without_a_name_has_variables_without_one():
    assert read_endpoint("redis://h", {"HARNESS_ENDPOINT_PASSWORD": "pw"}).password == "pw"


def test_a_file_can_hold_the_whole_url(tmp_path):
    file = tmp_path / "a.url"
    file.write_text(f"redis://:{SECRET}@h:1\n")
    assert read_endpoints([f"a=@{file}"], {})["a"].password == SECRET


def test_a_wrong_url_in_a_file_is_not_shown_either(tmp_path):
    file = tmp_path / "a.url"
    file.write_text(f"redis://:{SECRET}@h:port")
    with pytest.raises(UsageError, match="port is not a number") as caught:
        read_endpoint(f"@{file}", {}, "a")
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--endpoint a=…: can't read the file '.*nowhere': No such file or directory"):
        read_endpoint(f"@{tmp_path}/nowhere", {}, "a")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not UTF-8"):
        read_endpoint(f"@{tmp_path}/binary", {}, "a")


def test_a_user_without_a_password_may_be_a_password_in_the_wrong_place():
    with pytest.raises(UsageError, match="there is a user and no password; write redis://:password@host") as caught:
        read_endpoint(f"redis://{SECRET}@h", {}, "a")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("option", ["redis://h", "=redis://h", "a b=redis://h", "a"])
def test_an_endpoint_belongs_to_a_node(option):
    with pytest.raises(UsageError, match="--endpoint takes NAME=URL or NAME=@FILE"):
        read_endpoints([option], {})


def test_a_node_has_one_endpoint():
    with pytest.raises(UsageError, match="--endpoint a=… is given twice"):
        read_endpoints(["a=redis://h", "a=redis://i"], {})
