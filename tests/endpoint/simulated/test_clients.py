"""The clients that people use, through every product: pipelines, MULTI, pub/sub, scan, blocking pop, TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.endpoint.address import Endpoint
from harness.endpoint.certificate import make_certificate
from harness.endpoint.profile import Profile, profile, profiles
from harness.resp.connection import Connection
from tests.endpoint.simulated.endpoints import simulated
from tests.support.servers import running

PRODUCTS = [name for name in profiles() if "/" not in name]
PRODUCTS += ["redis-enterprise/sharded", "redis-enterprise/oss-cluster", "azure-managed-redis/enterprise"]
ROOT = Path(__file__).parents[3]
NODE_MODULES = ROOT / ".ci" / "tools" / "node_modules"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running("valkey-server", tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@pytest.fixture(params=PRODUCTS)
def product(request: pytest.FixtureRequest) -> Profile:
    return profile(request.param)


@pytest.fixture
def endpoint(server: Endpoint, product: Profile, tmp_path: Path) -> Iterator[Endpoint]:
    """With TLS where the product has it."""
    with Connection(server) as admin:
        admin.command("FLUSHALL")
    with opened(server, product, tmp_path) as found:
        yield found


@contextmanager
def opened(server: Endpoint, product: Profile, folder: Path) -> Iterator[Endpoint]:
    made = make_certificate(folder, ("127.0.0.1", "localhost")) if product.tls else None
    with simulated(server, product.name, folder, certificate=str(made.server) if made else None) as found:
        ca_file = str(made.authority) if made else None
        yield Endpoint(found.host, found.port, tls=made is not None, ca_file=ca_file)


def needed(program: str) -> str:
    """A program that CI installs; elsewhere a test that needs it is left out."""
    if found := shutil.which(program):
        return found
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not on PATH")
    pytest.skip(f"{program} is not on PATH")


def options(endpoint: Endpoint) -> dict[str, Any]:
    tls = {"ssl": True, "ssl_ca_certs": endpoint.ca_file} if endpoint.tls else {}
    return {"host": endpoint.host, "port": endpoint.port, **tls}


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(endpoint: Endpoint, protocol: int) -> None:
    with redis.Redis(**options(endpoint), protocol=protocol, decode_responses=True) as client:
        use(client, client)


def test_redis_py_s_cluster_client(endpoint: Endpoint, product: Profile) -> None:
    if not product.behaviour.cluster:
        with pytest.raises(redis.exceptions.RedisClusterException, match=r"[Cc]luster"):
            redis.RedisCluster(**options(endpoint), protocol=2)
        return
    with (
        redis.RedisCluster(**options(endpoint), protocol=2, decode_responses=True) as client,
        redis.Redis(**options(endpoint), protocol=2, decode_responses=True) as single,
    ):
        use(client, single)


def use(client: Any, single: Any) -> None:
    """single: a client of one node, for what redis-py's cluster client does otherwise."""
    pipe = client.pipeline(transaction=False) if client is single else client.pipeline()
    for _ in range(500):
        pipe.incr("{t}n")
    assert pipe.execute()[-1] == 500
    with single.pipeline(transaction=True) as transaction:
        assert transaction.set("{t}m", 1).incr("{t}m").get("{t}m").execute() == [True, 2, "2"]
    assert sorted(client.scan_iter(match="{t}*")) == ["{t}m", "{t}n"]

    later = threading.Thread(target=lambda: client.rpush("{t}l", "a"))
    later.start()
    assert single.blpop("{t}l", 30) in (("{t}l", "a"), ["{t}l", "a"])
    later.join()

    with single.pubsub() as listener:
        listener.subscribe("channel")
        assert listener.get_message(timeout=30)["type"] == "subscribe"
        client.publish("channel", "hello")
        assert listener.get_message(timeout=30)["data"] == "hello"


def cli(program: str, endpoint: Endpoint, *arguments: str, stdin: str = "") -> str:
    tls = ["--tls", "--cacert", str(endpoint.ca_file)] if endpoint.tls else []
    command = [needed(program), "-h", endpoint.host, "-p", str(endpoint.port), *tls, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_redis_cli(endpoint: Endpoint) -> None:
    session = "SET {t}k v\nMULTI\nINCR {t}n\nGET {t}k\nEXEC\nRPUSH {t}l a\nBLPOP {t}l 5\n"
    assert cli("redis-cli", endpoint, stdin=session) == "OK\nOK\nQUEUED\nQUEUED\n1\nv\n1\n{t}l\na\n"
    assert cli("redis-cli", endpoint, "-3", "GET", "{t}k") == "v\n"
    assert sorted(cli("redis-cli", endpoint, "--scan", "--pattern", "{t}*").split()) == ["{t}k", "{t}n"]
    many = "".join(f"INCR {{t}}p{number % 7}\r\n" for number in range(2000))
    assert "errors: 0, replies: 2000" in cli("redis-cli", endpoint, "--pipe", stdin=many)
    assert cli("redis-cli", endpoint, "-r", "1", "-x", "SET", "{t}x", stdin="y" * 100_000) == "OK\n"
    assert cli("redis-cli", endpoint, "STRLEN", "{t}x") == "100000\n"


def test_redis_benchmark(endpoint: Endpoint) -> None:
    what = ["-q", "-n", "2000", "-c", "20", "-P", "16", "-t", "set,get,incr,rpush,lpop"]
    shown = cli("redis-benchmark", endpoint, *what)
    lines = [line for line in shown.replace("\r", "\n").splitlines() if "requests per second" in line]
    assert len(lines) == 5, shown


def test_ioredis(endpoint: Endpoint, product: Profile) -> None:
    node = needed("node")
    if not (NODE_MODULES / "ioredis").is_dir() and not os.environ.get("CI"):
        pytest.skip("ioredis is not installed: npm install --no-save --prefix .ci/tools ioredis@5")
    mode = "cluster" if product.behaviour.cluster else "single"
    script = str(Path(__file__).with_name("clients.mjs"))
    command = [node, script, str(NODE_MODULES), endpoint.host, str(endpoint.port), endpoint.ca_file or "", mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr + done.stdout
