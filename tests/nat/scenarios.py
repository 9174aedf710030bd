"""What nodes do in the laboratory: `scenarios.py NAME`. Says what it found, and fails when that is not as it should be.
`scenarios.py --campaign` names those that the gate has no time for.

Settings are those that `nelumbo node init` writes, except where a scenario is about another one.
"""

import signal
import sys
import tempfile
import time

import crowd
import faults
import homes
import network
from network import CLASSES, ONE_WAY, Internet, lan
from nodes import Node, at, finish, host, relay, request, sign


def private(folder, preset="wallet", isolated=(), more="", hosts=("hub", "alice", "bob")):
    """A hub, and two wallets that know nothing else, in 10.0.0.0/8."""
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    lan({name: f"{address}/8" for name, address in zip(hosts, addresses)}, isolated)
    hub = Node(folder, "hub", preset=preset, more=more).start()
    port = hub.wait("listening")[1]["address"].split("/")[4]
    through = ["--bootstrap", f"/ip4/10.0.0.1/tcp/{port}/p2p/{hub.peer}"]
    return hub, *(Node(folder, name, through).start() for name in ("alice", "bob"))


def private_server(folder):
    """Two wallets and one server, all with default settings."""
    hub, alice, bob = private(folder, preset="full")
    print(f"signed after {sign(alice, bob, 'two wallets and one server'):.2f} s, {alice.path(bob.peer)}")
    alice.know(bob)
    assert alice.path(bob.peer) == "direct"
    for node in (hub, alice, bob):
        assert node.reachability()["state"] == "private", node.reachability()
        assert node.json("doctor")["sound"]


def private_wallets(folder):
    """Wallets alone, of which two reach nobody but the third."""
    hub, alice, bob = private(folder, isolated=("alice", "bob"))
    print(f"signed after {sign(alice, bob, 'one neighbour in common'):.2f} s, {alice.path(bob.peer)}")
    assert alice.path(bob.peer) == bob.path(alice.peer) == "circuit"
    relaying = hub.reachability()["relaying"]
    print(f"the neighbour: {relaying}")
    assert relaying["on"] and relaying["small"] == 16 and relaying["reservations"] == 2 and relaying["circuits"] >= 1
    assert not alice.reachability()["relaying"]["on"], "nobody can come in there"
    assert alice.reachability()["relays"] == [hub.peer]


def private_without_relay(folder):
    """The same where the neighbour does not want to relay: it says so, and what would help."""
    hub, alice, bob = private(folder, isolated=("alice", "bob"), more="network = { small-relay = false }")
    alice.until(["stats"], lambda stats: stats["reachability"]["state"] == "private")
    assert hub.reachability()["relaying"] == {"on": False, "small": 0, "reservations": 0, "circuits": 0}
    for node in (hub, alice):
        relaying = next(check for check in node.json("doctor")["checks"] if check["check"] == "relaying")
        print(f"{node.name}: {relaying['found']}; {relaying['remedy']}")
        assert relaying["state"] == "doubtful" and "config.toml" in relaying["remedy"]
    assert alice.path(bob.peer) == "none"


def link(folder):
    """Two wallets on one link, and no server at all."""
    lan({"alice": "192.168.7.2/24", "bob": "192.168.7.3/24"})
    alice, bob = (Node(folder, name, ["--mdns"]).start() for name in ("alice", "bob"))
    alice.know(bob)
    print(f"signed after {sign(alice, bob, 'no server at all'):.2f} s, {alice.path(bob.peer)}")
    # One leaves and is back, and is found again.
    seen = len(alice.events)
    bob.stop(signal.SIGKILL)
    bob.start()
    alice.wait("signer-connected", since=seen, key=bob.key)
    print(f"signed after {sign(alice, bob, 'and again'):.2f} s, {alice.path(bob.peer)}")


PAIRS = [
    ("public", "port-restricted"),
    ("full-cone", "symmetric"),
    ("address-restricted", "port-restricted"),
    ("port-restricted", "carrier"),
    ("other-port", "port-restricted"),
    ("symmetric", "symmetric"),
    ("upnp", "symmetric"),
    ("carrier", "symmetric"),
]


# Those that theory does not let be direct: what is seen of a symmetric router's port says nothing about the next one,
# and these let in only whom they have called there.
STRICT = {"port-restricted", "other-port", "carrier", "symmetric"}


def may_be_direct(transport, one, other):
    if "symmetric" not in (one, other):
        return True
    met = other if one == "symmetric" else one
    return met not in STRICT and not (transport == "tcp" and met == "address-restricted")


def pair(internet, folder, number, kinds, through, transport, results):
    """Two new nodes that know nothing but the relay sign at once, and then have a direct connection if they can."""
    one, other = (host(internet, folder, f"{side}{number}", kind, through, transport)
                  for side, kind in zip("ab", kinds))
    up = time.monotonic()
    took = finish(one, other, request(one, other, " and ".join(kinds))) - up
    expected = "direct" if may_be_direct(transport, *kinds) else "circuit"
    is_expected = one.becomes(expected, other.peer)
    path = one.path(other.peer)
    became = time.monotonic() - up if path == "direct" else None
    results.append((took, is_expected))
    direct = f"direct after {became:.1f} s" if became else path
    print(f"| {kinds[0]} | {kinds[1]} | {transport} | {took:.2f} s | {direct} |", flush=True)
    for node in (one, other):
        node.stop()


def table(folder, transport, kinds):
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    print("| one | other | transport | signed after | path |\n|---|---|---|---|---|")
    results = []
    for number, each in enumerate(kinds):
        pair(internet, folder, number, each, at(address, server, transport), transport, results)
    late = sum(took > 5 for took, _ in results)
    other_path = sum(not is_expected for _, is_expected in results)
    print(f"{len(results)} pairs; {late} took more than five seconds, {other_path} have another path than expected")
    return late, other_path


def pairs(folder, transport):
    """Eight pairs: each signs in at most five seconds from when both are up, and is direct where theory allows it."""
    assert table(folder, transport, PAIRS) == (0, 0)


def matrix(folder, transport):
    """Each class with each."""
    late, other_path = table(folder, transport, [(one, other) for one in CLASSES for other in CLASSES])
    assert late == 0 and other_path <= 1


def pairs_tcp(folder):
    pairs(folder, "tcp")


def pairs_quic(folder):
    pairs(folder, "quic")


def matrix_tcp(folder):
    matrix(folder, "tcp")


def matrix_quic(folder):
    matrix(folder, "quic")


def nat_pmp(folder):
    """A router that forwards ports for who asks by PCP or NAT-PMP, and has never heard of UPnP."""
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    node = host(internet, folder, "a", "nat-pmp", at(address, server), "tcp")
    node.wait("reachability-changed", state="mapped")
    outside = internet.routers["a-router"][2]
    assert f"/ip4/{outside}/tcp/4001/p2p/{node.peer}" in node.json("stats")["addresses"]
    print(node.reachability())


# Those of the gate, and those that take longer than it may.
GATE = (
    private_server,
    private_wallets,
    private_without_relay,
    link,
    pairs_tcp,
    pairs_quic,
    nat_pmp,
    faults.relay_restarts,
    faults.address_changes,
    faults.link_is_cut,
    faults.link_flooded,
)
CAMPAIGN = (
    faults.relay_replaced,
    faults.router_reboots_tcp,
    faults.router_reboots_quic,
    faults.laptop_sleeps,
    faults.resolver_late,
    homes.one_router_tcp,
    homes.one_router_quic,
    homes.one_router_mdns,
    homes.ipv6_tcp,
    homes.ipv6_quic,
    homes.one_family_tcp,
    homes.one_family_quic,
    homes.javascript,
)
# Told apart because a campaign runs them several times, or alone.
OTHERS = (matrix_tcp, matrix_quic, crowd.idle)


def named(scenarios):
    return {scenario.__name__.replace("_", "-"): scenario for scenario in scenarios}


SCENARIOS = named(GATE + CAMPAIGN + OTHERS)

if __name__ == "__main__":
    if sys.argv[1:] == ["--campaign"]:
        sys.exit(print(*named(CAMPAIGN), sep="\n"))
    if len(sys.argv) != 2 or sys.argv[1] not in SCENARIOS:
        sys.exit(f"which one? {', '.join(SCENARIOS)}")
    network.enter()
    with tempfile.TemporaryDirectory() as scratch:
        SCENARIOS[sys.argv[1]](scratch)
