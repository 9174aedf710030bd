"""Nodes in namespaces, driven by the command line."""

import json
import os
import signal
import subprocess
import threading
import time

import names

BINARY = os.environ.get("NELUMBO", os.path.join(os.path.dirname(__file__), "../../target/debug/nelumbo"))
PASSPHRASE = {"NELUMBO_PASSPHRASE": "correct horse battery staple"}
TCP, QUIC = "/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"
PATIENCE = 60


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NELUMBO_", "P2P_", "RUST_LOG"))}
    return {**kept, **PASSPHRASE, **more}


class Node:
    """A node with a data folder of its own, in the namespace of its name."""

    def __init__(self, folder, name, arguments=(), more="", preset="wallet", resolver=None, clock=None):
        self.name, self.folder, self.events, self.process = name, os.path.join(folder, name), [], None
        self.resolver, self.variables = resolver, clock.variables if clock else {}
        self.news = threading.Condition()
        init = ["node", "init", "--network", "regtest", "--preset", preset, *arguments]
        made = self.json(*init)
        self.key, self.peer = made["key"], made["peer"]
        if more:
            with open(os.path.join(self.folder, "config.toml"), "a") as file:
                file.write(f"\n{more}\n")

    def start(self):
        log = os.environ.get("LOG")
        command = [BINARY, "node", "--data", self.folder, "--json"]
        if self.resolver:
            command = names.through(self.resolver, self.folder, command)
        command = ["ip", "netns", "exec", self.name, *command]
        errors = open(f"{self.folder}.log", "ab") if log else subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True,
                                        env=environment(**({"RUST_LOG": log} if log else {}), **self.variables))
        threading.Thread(target=self.read, args=[self.process.stdout], daemon=True).start()
        self.wait("listening")
        return self

    def read(self, output):
        for line in output:
            event = json.loads(line)["event"]
            with self.news:
                self.events.append((time.monotonic(), event))
                self.news.notify_all()

    def json(self, *arguments, wanted=0):
        command = [BINARY, *arguments, "--data", self.folder, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(**self.variables),
                              timeout=PATIENCE)
        if done.returncode != wanted:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)}: {done.returncode} {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def wait(self, kind, since=0, patience=PATIENCE, **fields):
        """The time and the event, of the first that is so, from this number of events on."""
        until, seen = time.monotonic() + patience, since
        with self.news:
            while True:
                for at, event in self.events[seen:]:
                    if event["event"] == kind and all(event.get(name) == value for name, value in fields.items()):
                        return at, event
                seen = len(self.events)
                left = until - time.monotonic()
                if left <= 0:
                    happened = "\n".join(json.dumps(event) for _, event in self.events[-20:])
                    raise RuntimeError(f"{self.name} waited in vain for {kind} {fields}; at the end was\n{happened}")
                self.news.wait(left)

    def until(self, command, is_so, patience=PATIENCE):
        """Asks until the answer is as it should be."""
        end = time.monotonic() + patience
        while True:
            answer = self.json(*command)
            if is_so(answer):
                return answer
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} asked {command} in vain; the last answer was {json.dumps(answer)}")
            time.sleep(0.2)

    def path(self, peer):
        """The best connection to a peer: direct, circuit or none."""
        found = [entry for entry in self.json("peers")["peers"] if entry["peer"] == peer]
        return ("circuit" if found[0]["relayed"] else "direct") if found else "none"

    def know(self, other):
        """Waits until both are connected as signers."""
        self.wait("signer-connected", key=other.key)
        other.wait("signer-connected", key=self.key)

    def becomes(self, path, peer, patience=20):
        """Whether the best connection to a peer comes to be that."""
        until = time.monotonic() + patience
        while self.path(peer) != path:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def reachability(self):
        return self.json("stats")["reachability"]

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None


def at(address, node, transport="tcp"):
    port = "tcp/4001" if transport == "tcp" else "udp/4001/quic-v1"
    return f"/ip4/{address}/{port}/p2p/{node.peer}"


def relay(internet, folder, name="relay", listen=(TCP, QUIC), **more):
    """The node that everybody joins through, and that relays; its address comes first."""
    address = internet.host(name, "public")
    listen = [argument for each in listen for argument in ("--listen", each)]
    return address, Node(folder, name, listen, preset="relay", **more).start()


def host(internet, folder, name, kind, through, transport, **more):
    internet.host(name, kind)
    return wallet(folder, name, through, transport, **more)


def wallet(folder, name, through, transport="tcp", listen=(), arguments=(), **more):
    """A wallet where there is a namespace for it, that joins through one address, or several."""
    listen = listen or [TCP if transport == "tcp" else QUIC]
    through = [through] if isinstance(through, str) else through
    given = [("--listen", each) for each in listen] + [("--bootstrap", each) for each in through]
    arguments = [*arguments, *(argument for pair in given for argument in pair)]
    return Node(folder, name, arguments, **more).start()


def request(one, other, text):
    """Has one ask another for a signature, and waits until the other has been asked."""
    session = one.json("create", other.key, "--text", text)["session"]
    other.wait("session-announced", session=session)
    return session


def sign(one, other, text):
    """A session of two; how many seconds it took."""
    begin = time.monotonic()
    session = request(one, other, text)
    return finish(one, other, session) - begin


def finish(one, other, session):
    """The other agrees, and both get the signature; when the last of them had it."""
    other.json("join", session, "--allow", "opaque")
    return max(node.wait("session-completed", session=session)[0] for node in (one, other))
