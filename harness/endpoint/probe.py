"""Which product answers at an address, and by which evidence: real, simulated, or the server as its project ships it.

Nothing is written and nothing changed: every question only reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.endpoint.address import Endpoint
from harness.endpoint.profile import OSS, Profile, profile, profiles
from harness.endpoint.simulated.plan import Behaviour
from harness.resp.connection import Connection, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.identity import open_endpoint

# Questions that servers answer and products refuse; they read, and cost nothing.
QUESTIONS = (
    "ROLE",
    "LASTSAVE",
    "CONFIG GET maxmemory",
    "CLIENT ID",
    "CLIENT LIST",
    "ACL WHOAMI",
    "ACL LOG",
    "COMMAND COUNT",
    "OBJECT HELP",
    "MEMORY HELP",
    "MEMORY DOCTOR",
    "LATENCY LATEST",
    "SLOWLOG LEN",
    "CLUSTER MYID",
    "PUBSUB NUMPAT",
    "FUNCTION STATS",
    "WAIT 0 1",
)
_ADMIN = frozenset({"ROLE", "LASTSAVE", "ACL LOG", "LATENCY LATEST", "SLOWLOG LEN"})  # of the category admin
_HOSTS = (
    (".redis.azure.net", "azure-managed-redis"),
    (".redis.cache.windows.net", "azure-cache-for-redis"),
    (".cache.amazonaws.com", "elasticache"),
    (".redislabs.com", "redis-cloud"),
    (".redis-cloud.com", "redis-cloud"),
    (".redns.redis-cloud.com", "redis-cloud"),
)
_STOCK_ERRORS = ("cluster support disabled", "replica instances")  # a server as its project ships it says so, too
_SHOWN = 200  # characters of an error
_REFUSALS = ("unknown command", "unknown subcommand", "is not allowed", "NOPERM", "Unknown subcommand")


@dataclass(frozen=True)
class Found:
    """kind: "simulated", "real", "stock" or "unknown"; product: a profile's name, or "" where none fits. evidence: each
    observation in words.
    """

    kind: str
    product: str
    evidence: tuple[str, ...]


def probe(endpoint: Endpoint) -> Found:
    """Ask an endpoint who it is; SetupError where it can't be reached, wants a password or still loads its data."""
    open_endpoint("", endpoint).close()
    if (mark := _asked(endpoint, "HARNESS")) is not None and isinstance(mark, bytes):
        name = mark.decode("utf-8", "replace").removeprefix("simulated ")
        return Found("simulated", name, (f"HARNESS answers {mark.decode('utf-8', 'replace')!r}",))
    evidence = []
    if host := next((product for suffix, product in _HOSTS if endpoint.host.endswith(suffix)), ""):
        evidence.append(f"the host name is one of {profile(host).product}")
    pong = _asked(endpoint, "DPING")
    enterprise = pong is not None and not isinstance(pong, ErrorReply)
    if enterprise:
        evidence.append("DPING answers, which only the Redis Enterprise family does")
    replies = {question: _asked(endpoint, *question.split()) for question in QUESTIONS}
    refused, unclear = _refused(replies), _unclear(replies)
    evidence.append(f"it refuses: {', '.join(refused) or 'none of what was asked'}")
    if refused:
        evidence.append(f"in these words: {next(iter(refused.values()))}")
    fitting = fitting_profiles(refused)
    if host or enterprise:
        return Found("real", host or "redis-enterprise", tuple(evidence))
    for question, said in unclear.items():
        evidence.append(f"{question} tells nothing: {said}")
    if not refused and not unclear:
        return Found("stock", OSS, tuple(evidence))
    evidence.append(f"which fits: {', '.join(fitting) or 'no profile'}")
    return Found("unknown", fitting[0] if len(fitting) == 1 else "", tuple(evidence))


def fitting_profiles(refused: Mapping[str, str]) -> tuple[str, ...]:
    """The profiles that refuse exactly these questions; policies apart, where they differ in none."""
    fits = [name for name, one in profiles().items() if name != OSS and _predicted(one) == set(refused)]
    return tuple(name for name in fits if "/" not in name or name.partition("/")[0] not in fits)


def _predicted(one: Profile) -> set[str]:
    return {question for question in QUESTIONS if _refuses(one.behaviour, question)}


def _refuses(behaviour: Behaviour, question: str) -> bool:
    name, _, rest = question.lower().partition(" ")
    full = f"{name}|{rest.partition(' ')[0]}"
    if full in behaviour.allowed or name in behaviour.allowed:
        return False
    by_category = "admin" in behaviour.refused_categories and question in _ADMIN
    return by_category or full in behaviour.refused or name in behaviour.refused


def _refused(replies: Mapping[str, Reply | None]) -> dict[str, str]:
    """The questions that are refused as such, with the words."""
    return {
        question: reply.text[:_SHOWN]
        for question, reply in replies.items()
        if isinstance(reply, ErrorReply) and any(word in reply.text for word in _REFUSALS)
    }


def _unclear(replies: Mapping[str, Reply | None]) -> dict[str, str]:
    """The questions that are neither answered nor refused, with what came instead."""
    found = {}
    for question, reply in replies.items():
        if reply is None:
            found[question] = "the connection was closed"
        elif isinstance(reply, ErrorReply) and not any(word in reply.text for word in (*_REFUSALS, *_STOCK_ERRORS)):
            found[question] = reply.text[:_SHOWN]
    return found


def _asked(endpoint: Endpoint, *words: str) -> Reply | None:
    """The reply, on a connection of its own; None where the other side closes at such a command."""
    with Connection(endpoint) as connection:
        try:
            return connection.command(*words)
        except ConnectionLost:
            return None
