"""What happens to two nodes that sign: a relay dies, a router forgets, a laptop sleeps, nobody resolves names."""

import os
import signal
import time

from names import Clock, Server, flood_link
from network import ONE_WAY, Internet, lan, setting
from nodes import TCP, Node, at, finish, host, relay, request, sign, wallet


def both_become(path, one, other):
    """Each of the two takes this for the best path to the other, in the end."""
    for node, peer in ((one, other), (other, one)):
        assert node.becomes(path, peer.peer), f"{node.name} to {peer.name}: {node.path(peer.peer)}"


def before(folder, transport, kinds):
    """Two that have signed, and know one relay."""
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    through = at(address, server, transport)
    one, other = (host(internet, folder, name, kind, through, transport) for name, kind in zip("ab", kinds))
    finish(one, other, request(one, other, "before"))
    return internet, server, one, other


def relay_restarts(folder, transport="tcp"):
    """Two that reach each other through the relay alone, and it dies between a request and the answer."""
    _, server, one, other = before(folder, transport, ("symmetric", "symmetric"))
    session = request(one, other, "while the relay restarts")
    server.stop(signal.SIGKILL)
    server.start()
    begin = time.monotonic()
    print(f"signed {finish(one, other, session) - begin:.1f} s after the relay was back, {one.path(other.peer)}")


def address_changes(folder, transport="tcp"):
    """A provider gives a router another address, and forgets its connections, under a running node."""
    internet, _, one, other = before(folder, transport, ("port-restricted", "full-cone"))
    session = request(one, other, "while the address changes")
    internet.readdress("a-router", "5.5.1.1")
    begin = time.monotonic()
    print(f"signed {finish(one, other, session) - begin:.1f} s after the change, {one.path(other.peer)}")


def link_is_cut(folder, transport="tcp"):
    """Nothing gets through to one of them in the midst of an attempt, for ten seconds."""
    internet, _, one, other = before(folder, transport, ("port-restricted", "full-cone"))
    session = request(one, other, "while the link is cut")
    internet.cut("a-router")
    other.json("join", session, "--allow", "opaque")
    time.sleep(10)
    internet.mend("a-router")
    begin = time.monotonic()
    ended = max(node.wait("session-completed", session=session)[0] for node in (one, other))
    print(f"signed {ended - begin:.1f} s after the link was back, {one.path(other.peer)}")


def relay_replaced(folder, transport="tcp"):
    """The relay dies for good between a request and the answer, and another one, named besides, begins its work."""
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    second = internet.host("second", "public")
    successor = Node(folder, "second", ["--listen", TCP], preset="relay")
    through = [at(address, server, transport), at(second, successor, transport)]
    one, other = (host(internet, folder, name, "symmetric", through, transport) for name in "ab")
    finish(one, other, request(one, other, "before"))
    session = request(one, other, "while the relay is replaced")
    server.stop(signal.SIGKILL)
    time.sleep(10)
    begin = time.monotonic()
    successor.start()
    took = finish(one, other, session) - begin
    print(f"signed {took:.1f} s after the other relay was there, {one.path(other.peer)}")
    print(f"a new session {sign(other, one, 'with the other relay'):.2f} s")
    assert one.path(other.peer) == "circuit"
    for node in (one, other):
        assert node.until(["stats"], lambda stats: stats["reachability"]["relays"] == [successor.peer])


def router_reboots(folder, transport):
    """Routers are off for ten seconds and forget what they had mapped: between sessions, and within one.

    One pair is direct, and its router draws another port; one is on a circuit. Both keep signing, and on the same kind
    of path, from when the router is up again.
    """
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    through = at(address, server, transport)
    for kind, kind_of_other, path in (("other-port", "full-cone", "direct"), ("symmetric", "symmetric", "circuit")):
        one, other = (host(internet, folder, f"{kind}-{side}", each, through, transport)
                      for side, each in zip("ab", (kind, kind_of_other)))
        finish(one, other, request(one, other, "before"))
        both_become(path, one, other)
        internet.reboot(f"{one.name}-router", kind, 10, 24101)
        between = sign(other, one, "between")
        session = request(one, other, "within")
        internet.reboot(f"{one.name}-router", kind, 10, 24201)
        begin = time.monotonic()
        within = finish(one, other, session) - begin
        print(f"{kind}, {transport}: asked and signed {between:.1f} s after a reboot; asked before another, signed "
              f"{within:.1f} s after it; {one.path(other.peer)}", flush=True)
        both_become(path, one, other)


def router_reboots_tcp(folder):
    router_reboots(folder, "tcp")


def router_reboots_quic(folder):
    router_reboots(folder, "quic")


def laptop_sleeps(folder, transport="tcp"):
    """A laptop behind a router sleeps for an hour, and is asked for a signature when it is awake.

    Its process is frozen until everybody has given up the connections with it, its router has forgotten them, and all
    nodes have looked at their clocks; meanwhile every wall clock goes on by an hour. The monotonic clock, which stands
    still in a machine that sleeps, goes on in a frozen process, by a minute and a half.
    """
    clock, internet = Clock(folder), Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder, clock=clock)
    through = at(address, server, transport)
    one, other = (host(internet, folder, name, kind, through, transport, clock=clock)
                  for name, kind in (("a", "port-restricted"), ("b", "full-cone")))
    for kind in ("tcp_timeout_established", "tcp_timeout_unacknowledged", "udp_timeout", "udp_timeout_stream"):
        setting("a-router", f"netfilter/nf_conntrack_{kind}", 20)
    finish(one, other, request(one, other, "before"))
    both_become("direct", one, other)
    asleep = time.monotonic()
    one.process.send_signal(signal.SIGSTOP)
    for minutes in range(10, 70, 10):
        time.sleep(15)
        clock.put_ahead(minutes * 60)
    for node in (server, other):
        assert node.path(one.peer) == "none", f"{node.name} still has a connection"
    slept = time.monotonic() - asleep
    one.process.send_signal(signal.SIGCONT)
    awake = time.monotonic()
    took = finish(other, one, request(other, one, "awake")) - awake
    both_become("direct", one, other)
    print(f"an hour by its clock, {slept:.0f} s frozen: asked and signed {took:.1f} s after it was awake, then direct")


def resolver_late(folder, transport="tcp"):
    """Two that know a name alone, one as /dnsaddr and one as /dns4, and whose resolver is silent for twenty seconds."""
    internet = Internet(ONE_WAY / 2, folder)
    address, server = relay(internet, folder)
    known = at(address, server, transport)
    names = Server(internet, {"_dnsaddr.boot.nelumbo.org": [f"dnsaddr={known}"]}, {"relay.nelumbo.org": address})
    named = known.replace(f"/ip4/{address}", "/dns4/relay.nelumbo.org")
    ways = {"a": f"/dnsaddr/boot.nelumbo.org/p2p/{server.peer}", "b": named}
    for name in ways:
        internet.host(name, "port-restricted")
    one, other = (wallet(folder, name, way, transport, resolver=names.address) for name, way in ways.items())
    time.sleep(20)
    assert names.asked > 0, "nobody asks for names"
    assert one.path(server.peer) == other.path(server.peer) == "none"
    names.is_up.set()
    begin = time.monotonic()
    took = finish(one, other, request(one, other, "with names")) - begin
    both_become("direct", one, other)
    print(f"asked and signed {took:.1f} s after the resolver was there, then direct")


def link_flooded(folder):
    """Somebody tells a link of thousands of nodes that do not exist: few are called, and those that are there sign on.

    More records than libp2p should keep switch mDNS off.
    """
    lan({"alice": "192.168.7.2/24", "bob": "192.168.7.3/24", "mallory": "192.168.7.4/24"})
    os.environ["LOG"] = "warn"
    alice, bob = (Node(folder, name, ["--mdns"]).start() for name in ("alice", "bob"))
    alice.know(bob)
    flood_link("mallory", "192.168.7.4", 3000)
    print(f"signed after {sign(alice, bob, 'in a flood'):.2f} s, {alice.path(bob.peer)}")
    for node in (alice, bob):
        called = {event["peer"] for _, event in node.events if event["event"] == "dial-failed"}
        with open(f"{node.folder}.log") as file:
            switched_off = "mDNS is switched off" in file.read()
        print(f"{node.name}: {len(called)} of 3,000 called; switched off: {switched_off}")
        assert 0 < len(called) <= 16 and switched_off
