"""Packets that vanish: a rule of the kernel's packet filter, in the network namespace of one container.

No proxy can do that: what it has read is acknowledged already. The rule stands where the replica is, for what comes
from (or goes to) the one address that it follows. It lives in that container's namespace and ends with it at the
latest, so nothing of this machine's own rules is touched, and nothing can be left.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import subprocess
from collections.abc import Callable

from harness.errors import SetupError
from harness.fault.toxic import LOSS, Direction, Toxic

_CALL_S = 10.0
_LOCK_S = "5"  # how long another user of the same rules is waited for
_numbers = itertools.count(1)


@functools.lru_cache(maxsize=1)
def why_no_loss() -> str:
    """Why this process can't make packets vanish on this machine; "" where it can. Tried in a namespace of its own."""
    return why_no_rules(["-p", "tcp", *_statistic(50.0), "-j", "DROP"], ", and the kernel's statistic match")


def why_no_rules(rule: list[str], also: str = "") -> str:
    """Why this process can't have this rule for what leaves a container; "" where it can."""
    if said := _said(["unshare", "--net", "iptables", "-w", _LOCK_S, "-A", "OUTPUT", *rule]):
        return f"it needs root, iptables, unshare and nsenter{also}: {said}"
    return _said(["nsenter", "--net=/proc/self/ns/net", "true"])


def in_namespace(node: str, pid: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """iptables where the process with this number is; SetupError where it has ended, or nothing can be run."""
    if not pid:
        raise SetupError(f"node {node} has ended")
    if _is_our_own(pid):
        raise SetupError(
            f"packets of node {node} can't be made to vanish: process {pid} is no container's here; "
            "does the Docker daemon run elsewhere?"
        )
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "iptables", "-w", _LOCK_S, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_CALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"packets of node {node}: {error}") from None


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    """What it said if it failed; "" where it succeeded."""
    return "" if done.returncode == 0 else done.stderr.strip()[-300:] or f"exit code {done.returncode}"


def _statistic(percent: float) -> list[str]:
    return ["-m", "statistic", "--mode", "random", "--probability", f"{percent / 100:.9f}"]


class PacketLoss:
    """Losses on the way between one container and one address. pid: of a process in it, 0 where it has ended."""

    def __init__(self, node: str, pid: Callable[[], int], peer: tuple[str, int]) -> None:
        self._node, self._pid, self._peer = node, pid, peer
        self._chains: dict[str, str] = {}  # by name

    def holds(self, name: str) -> bool:
        return name in self._chains

    def add(self, toxic: Toxic) -> str:
        """Let packets vanish from now on; returns the loss's name. SetupError with what the system says."""
        if reason := why_no_loss():
            raise SetupError(f"packets can't be lost here: {reason}")
        percent = toxic.attributes.get("percent", 0.0)
        if toxic.kind != LOSS or set(toxic.attributes) != {"percent"} or not 0 < percent <= 100 or toxic.toxicity != 1:
            raise SetupError(f"{toxic.kind} takes percent, above 0 to 100, and no toxicity; got {toxic.attributes}")
        name = f"{LOSS}_{next(_numbers)}"
        inwards = toxic.direction is Direction.TO_TARGET
        host, port = self._peer
        peer = ["-s", host, "-p", "tcp", "--sport"] if inwards else ["-d", host, "-p", "tcp", "--dport"]
        self._chains[name] = "INPUT" if inwards else "OUTPUT"
        rule = [*peer, str(port), *_statistic(percent), "-m", "comment", "--comment", name, "-j", "DROP"]
        if said := self._failed(["-A", self._chains[name], *rule]):
            del self._chains[name]
            raise SetupError(f"packets of node {self._node} can't be made to vanish: {said}")
        return name

    def lost(self, name: str) -> int:
        """How many packets have vanished; 0 where the rule went with a container that has ended."""
        found = self._find(name)
        return found[1] if found else 0

    def remove(self, name: str) -> None:
        """Nothing where the rule has gone already."""
        if (found := self._find(name)) and (said := self._failed(["-D", self._chains[name], str(found[0])])):
            raise SetupError(f"packets of node {self._node} may still vanish: {said}")
        self._chains.pop(name, None)

    def clear(self) -> None:
        for name in list(self._chains):
            self.remove(name)

    def _find(self, name: str) -> tuple[int, int] | None:
        """The rule's number in its chain, and how many packets it has met."""
        if not self._pid():
            return None
        rules = self._run(["-v", "-S", self._chains[name]]).stdout.splitlines()
        rules = [rule for rule in rules if rule.startswith("-A ")]
        for number, rule in enumerate(rules, start=1):
            if f"--comment {name} " in rule.replace('"', "") and (counted := re.search(r" -c (\d+) \d+", rule)):
                return number, int(counted[1])
        return None

    def _failed(self, arguments: list[str]) -> str:
        return said_by(self._run(arguments))

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return in_namespace(self._node, self._pid(), arguments)


def _is_our_own(pid: int) -> bool:
    """Whether it stands in this process's network: a number that the daemon told may be another process's here."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    except OSError:
        return False


def _said(command: list[str]) -> str:
    """What it says if it fails; "" where it succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CALL_S, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror or error}"
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} took more than {_CALL_S:.0f} s"
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"
