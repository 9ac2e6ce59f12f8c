"""Server programs that are broken in one way, made around a real one: what the matrix must see through.

A program takes a configuration file, as a server does. Some only add directives to it; the others stand as a proxy in
front of the real server, at its address, and change what passes.
"""

from __future__ import annotations

import sys
from pathlib import Path

_ADDING = """#!/bin/sh
real={real}
case "$1" in --version) exec "$real" --version;; esac
cat >> "$1" <<'EOF'
{directives}
EOF
exec "$real" "$1"
"""
_PROXY = """#!{python} -IS
import os, re, selectors, socket, subprocess, sys
REAL, HOW = {real!r}, {how!r}
if sys.argv[1] == "--version":
    os.execv(REAL, [REAL, "--version"])
conf = open(sys.argv[1]).read()
host, port = re.search(r"(?m)^bind (\\S+)", conf)[1], int(re.search(r"(?m)^port (\\d+)", conf)[1])
with socket.create_server((host, 0)) as probe:
    behind = probe.getsockname()[1]
other = sys.argv[1] + ".real"
open(other, "w").write(re.sub(r"(?m)^port .*", f"port {{behind}}", conf))
real = subprocess.Popen([REAL, other])

def changed(data):
    if HOW == "drops an element":
        at = re.compile(rb"(LRANGE\\r\\n\\$\\d+\\r\\n[^\\r]*\\r\\n\\$1\\r\\n)0(\\r\\n\\$2\\r\\n-1\\r\\n)")
        return at.sub(rb"\\g<1>1\\2", data)
    if b"REPLICAOF" in data and b"ONE" not in data:
        if HOW == "dies":
            real.kill()
            os._exit(3)
        if HOW == "keeps its old data":
            return re.sub(rb"\\*3\\r\\n\\$9\\r\\nREPLICAOF\\r\\n.*?\\r\\n.*?\\r\\n.*?\\r\\n.*?\\r\\n",
                          b"*2\\r\\n$6\\r\\nSELECT\\r\\n$1\\r\\n0\\r\\n", data, flags=re.S)
    return data

listener = socket.create_server((host, port))
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select(0.05):
        if key.fileobj is listener:
            client, _ = listener.accept()
            try:
                server = socket.create_connection((host, behind))
            except OSError:
                client.close()
                continue
            selector.register(client, selectors.EVENT_READ, (server, changed))
            selector.register(server, selectors.EVENT_READ, (client, bytes))
            continue
        to, change = key.data
        try:
            data = key.fileobj.recv(1 << 20)
            if data:
                to.sendall(change(data))
                continue
        except OSError:
            pass
        for one in (key.fileobj, to):
            try:
                selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.close()
    if real.poll() is not None:
        os._exit(real.returncode if real.returncode >= 0 else 1)
"""


def adding(folder: Path, real: str, *directives: str) -> Path:
    """A program that runs the real one with more directives."""
    return _written(folder, _ADDING.format(real=f"'{real}'", directives="\n".join(directives)))


def proxied(folder: Path, real: str, how: str) -> Path:
    """A program behind a proxy. how: "drops an element", "dies" or "keeps its old data"."""
    return _written(folder, _PROXY.format(python=sys.executable, real=real, how=how))


def _written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "broken-server"
    path.write_text(text)
    path.chmod(0o755)
    return path
