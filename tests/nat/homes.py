"""How nodes sign from where they are: several behind one router, with IPv6, with one family broken, in JavaScript."""

import json
import os
import subprocess
import threading
import time

from network import ONE_WAY, Internet
from nodes import Node, TCP, at, environment, finish, host, relay, request, wallet

PAGE = os.path.join(os.path.dirname(__file__), "peer.mjs")
# Of any two, from when both are up.
BOUND = 5


def meet(one, other, expected, since=None):
    """They sign within the bound, and have the expected path in the end."""
    up = since or time.monotonic()
    took = finish(one, other, request(one, other, f"{one.name} and {other.name}")) - up
    is_expected = one.becomes(expected, other.peer)
    print(f"{one.name} and {other.name} after {took:.2f} s, {one.path(other.peer)}", flush=True)
    return took <= BOUND and is_expected


def one_router(folder, transport, mdns=False):
    """Three hosts of one home sign with each other and with one outside.

    The router sends nothing back that comes from inside for its own outer address, so those in one home stay on a
    circuit, unless they look for each other on their link; with the one outside each of them is direct.
    """
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    through = at(address, server, transport)
    family = ["alice", "bob", "carol"]
    internet.home("router", family)
    nodes = [wallet(folder, name, through, transport, arguments=["--mdns"] if mdns else []) for name in family]
    dave = host(internet, folder, "dave", "port-restricted", through, transport)
    home = "direct" if mdns else "circuit"
    up = time.monotonic()
    results = [meet(nodes[0], dave, "direct", up)]
    results += [meet(one, dave, "direct") for one in nodes[1:]]
    results += [meet(one, other, home) for one, other in zip(nodes, nodes[1:] + nodes[:1])]
    assert all(results), results


def one_router_tcp(folder):
    one_router(folder, "tcp")


def one_router_quic(folder):
    one_router(folder, "quic")


def one_router_mdns(folder):
    one_router(folder, "tcp", mdns=True)


def listens(transport, families):
    listen = "tcp/4001" if transport == "tcp" else "udp/4001/quic-v1"
    return [f"/{family}/{'::' if family == 'ip6' else '0.0.0.0'}/{listen}" for family in families]


def settled(internet, folder, transport, families):
    """A relay with an address of each family, and how it is reached there."""
    address, server = relay(internet, folder, listen=listens(transport, ("ip4", "ip6")))
    known = {"ip4": at(address, server, transport)}
    known["ip6"] = known["ip4"].replace(f"/ip4/{address}", f"/ip6/{internet.plug_ipv6('relay')}")
    return server, [known[family] for family in families]


def ipv6(folder, transport):
    """Nodes with nothing but IPv6, each behind a firewall that lets in only who has been called, and one without."""
    internet = Internet(ONE_WAY / 2, folder)
    server, through = settled(internet, folder, transport, ["ip6"])
    for name in ("alice", "bob"):
        internet.host_ipv6(name)
    internet.host("open", "public")
    internet.plug_ipv6("open")
    nodes = [wallet(folder, name, through, listen=listens(transport, ["ip6"])) for name in ("alice", "bob", "open")]
    up = time.monotonic()
    results = [meet(nodes[0], nodes[1], "direct", up)]
    results += [meet(nodes[2], nodes[0], "direct"), meet(nodes[1], nodes[2], "direct")]
    assert all(results), results
    for node, state in zip(nodes, ("behind-nat", "behind-nat", "public")):
        node.until(["stats"], lambda stats: stats["reachability"]["state"] == state)


def ipv6_tcp(folder):
    ipv6(folder, "tcp")


def ipv6_quic(folder):
    ipv6(folder, "quic")


def one_family(folder, transport):
    """Nodes with both families, of which what goes out by one is swallowed, sign all the same.

    Those that have lost the same one become direct by the other; those that have lost different ones meet at the relay.
    """
    internet = Internet(ONE_WAY / 2, folder)
    server, through = settled(internet, folder, transport, ("ip4", "ip6"))
    broken = {"no-ipv6": "ip6", "no-ipv6-either": "ip6", "no-ipv4": "ip", "both": None}
    nodes = []
    for name, family in broken.items():
        internet.host_ipv6(name, "port-restricted")
        if family:
            internet.swallow(f"{name}-router", family)
    for name in broken:
        nodes.append(wallet(folder, name, through, listen=listens(transport, ("ip4", "ip6"))))
    up = time.monotonic()
    pairs = [(0, 1, "direct"), (0, 2, "circuit"), (0, 3, "direct"), (2, 3, "direct")]
    results = [meet(nodes[one], nodes[other], path, up if (one, other) == (0, 1) else None)
               for one, other, path in pairs]
    assert all(results), results


def one_family_tcp(folder):
    one_family(folder, "tcp")


def one_family_quic(folder):
    one_family(folder, "quic")


class Script(Node):
    """A node on js-libp2p, `peer.mjs` beside this file, with as much of the same interface as sessions of two need."""

    def __init__(self, name, through):
        self.name, self.events, self.news = name, [], threading.Condition()
        command = ["ip", "netns", "exec", name, "node", PAGE, through]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment())
        threading.Thread(target=self.read, args=[self.process.stdout], daemon=True).start()
        started = self.wait("started")[1]
        self.key, self.peer = started["key"], started["peer"]

    def json(self, command, argument, *rest):
        seen = len(self.events)
        self.process.stdin.write(json.dumps({command: argument}) + "\n")
        self.process.stdin.flush()
        return self.wait("done", seen)[1]


def javascript(folder):
    """A js-libp2p peer behind a router, with nothing but WebSocket and the relay, asks a node and is asked by it."""
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder, listen=(TCP, "/ip4/0.0.0.0/tcp/4002/ws"))
    internet.host("script", "port-restricted")
    node = host(internet, folder, "node", "port-restricted", at(address, server), "tcp")
    script = Script("script", f"/ip4/{address}/tcp/4002/ws/p2p/{server.peer}")
    up = time.monotonic()
    asked = finish(script, node, request(script, node, "the script asks")) - up
    up = time.monotonic()
    answered = finish(node, script, request(node, script, "the node asks")) - up
    print(f"the script asked and signed after {asked:.2f} s, was asked and signed after {answered:.2f} s, "
          f"{node.path(script.peer)}")
    assert node.path(script.peer) == "circuit" and max(asked, answered) <= BOUND
