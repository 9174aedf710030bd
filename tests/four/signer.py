"""A signer in a process of Python: the machine is here, with its key; its network is a process of Node.js.

    python signer.py NODE HOST ADDRESS

HOST is `bindings/js/test/host.mjs`, which does what the machine wants and tells what happens, and ADDRESS a node to
begin with. Prints its key, and the signatures of what it is asked to sign.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from typing import IO, Any

from nelumbo import Machine


def now() -> tuple[float, float]:
    return time.monotonic() * 1e3, time.time() * 1e3


def hear(lines: IO[str], inputs: queue.Queue[dict[str, Any]]) -> None:
    for line in lines:
        inputs.put(json.loads(line))


def run(node: str, host: str, address: str) -> None:
    options = json.dumps({"bootstrap": [address], "listen": ["/ip4/127.0.0.1/tcp/0/ws"]})
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    network = subprocess.Popen([node, host, options], **pipes, text=True, bufsize=1)
    assert network.stdin and network.stdout
    peer = json.loads(network.stdout.readline())["peer"]
    machine = Machine({"network": "regtest", "peer": peer}, os.urandom(32), os.urandom(32), *now())
    print(machine.view()["key"], flush=True)
    inputs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=hear, args=(network.stdout, inputs), daemon=True).start()
    while network.poll() is None:
        for output in machine.poll():
            if output["type"] == "persist":  # A key that is used once has no journal.
                inputs.put({"type": "persisted", "sequence": output["sequence"]})
            elif output["type"] != "event":
                network.stdin.write(json.dumps(output) + "\n")
            elif output["event"]["type"] == "session-announced":
                join = {"type": "join", "session": output["event"]["session"], "allow": ["opaque"]}
                machine.command(*now(), join)
                inputs.put({"type": "tick"})
            elif output["event"]["type"] == "session-completed":
                print(*output["event"]["signatures"], flush=True)
        due = machine.deadline()
        try:
            batch = [inputs.get(timeout=None if due is None else max(0.0, due - now()[0]) / 1e3)]
        except queue.Empty:
            batch = [{"type": "tick"}]
        machine.handle(*now(), batch)


if __name__ == "__main__":
    run(*sys.argv[1:])
