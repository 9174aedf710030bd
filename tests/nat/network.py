"""A laboratory of network namespaces: a public network, routers of several classes, hosts behind them, and delay.

Owns everything between two hosts. Invariants: nothing leaves the namespaces, and all of it is gone with the process,
because that is the first in a PID namespace of its own; no root is needed, and whatever is missing is an error. The
scenarios drive it.

Addresses of the public network look public (5.5.0.0/16), because nodes drop those that do not.
"""

import heapq
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

INSIDE = "NELUMBO_LABORATORY"
# Between any two hosts, each way, in seconds: a cable has half of it.
ONE_WAY = 0.05
SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 263, 15, 4


def enter():
    """Goes on in namespaces of its own. Fails where the system does not allow that."""
    if INSIDE in os.environ:
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        os.makedirs("/run/netns")
        return
    user, own = ["--user", "--map-root-user"], ["--net", "--mount", "--pid", "--fork", "--kill-child"]
    # Where users may have none, root may.
    for flags in [user + own, own]:
        if subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])
    sys.exit("this system lets nobody have network namespaces, neither users nor this root: "
             "see `unshare --user --map-root-user --net true`, and seccomp's profile in a container")


def run(*arguments, text=None):
    done = subprocess.run(arguments, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def namespace(name):
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")


def within(name, *arguments, text=None):
    return run("ip", "netns", "exec", name, *arguments, text=text)


def wire(one, one_device, other, other_device):
    run("ip", "-n", one, "link", "add", one_device, "type", "veth", "peer", "name", other_device, "netns", other)
    run("ip", "-n", one, "link", "set", one_device, "up")
    run("ip", "-n", other, "link", "set", other_device, "up")


def move(one, other, *devices):
    for device in devices:
        run("ip", "-n", one, "link", "set", device, "netns", other)
        run("ip", "-n", other, "link", "set", device, "up")


def setting(name, key, value):
    within(name, "sh", "-c", f"echo {value} > /proc/sys/net/{key}")


class Cables:
    """Cables that take their time: two ends in a namespace of their own, and a thread that carries frames between them.

    Kernels without netem can do it, and without root there is no TAP device. Offloaded checksums and segments go with
    the frame, in the header that virtual machines use for it.
    """

    def __init__(self, delay):
        self.delay, self.count, self.sockets, self.other = delay, 0, {}, {}
        self.epoll, self.due, self.number = select.epoll(), [], 0
        namespace("cables")
        threading.Thread(target=self.carry, daemon=True).start()

    def lay(self, one, one_device, other, other_device):
        ends = [f"c{self.count}a", f"c{self.count}b"]
        self.count += 1
        wire("cables", ends[0], one, one_device)
        wire("cables", ends[1], other, other_device)
        opened = []
        worker = threading.Thread(target=lambda: opened.extend(self.open(end) for end in ends))
        worker.start()
        worker.join()
        first, second = opened
        self.other[first.fileno()], self.other[second.fileno()] = second, first
        for each in opened:
            self.sockets[each.fileno()] = each
            self.epoll.register(each.fileno(), select.EPOLLIN)

    def open(self, device):
        # A thread may be in another namespace than the others, and this one is for nothing else.
        go_into("cables")
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        opened.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind((device, 3))
        opened.setblocking(False)
        return opened

    def carry(self):
        while True:
            pause = min(max(self.due[0][0] - time.monotonic(), 0), 1) if self.due else 0.05
            for ready, _ in self.epoll.poll(pause):
                self.take(ready)
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, out, frame = heapq.heappop(self.due)
                try:
                    out.send(frame)
                except OSError:
                    pass  # The other end is down, or full: cables lose frames.

    def take(self, ready):
        for _ in range(64):
            try:
                frame, address = self.sockets[ready].recvfrom(1 << 17)
            except OSError:
                return
            if address[2] != PACKET_OUTGOING:
                self.number += 1
                heapq.heappush(self.due, (time.monotonic() + self.delay, self.number, self.other[ready], frame))


def go_into(name):
    """Moves this thread, and no other, into a namespace. By hand, because Python can since 3.12 only."""
    import ctypes

    with open(f"/run/netns/{name}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")


def rules(kind, wan, port=24001):
    """What a router of this class does, for nft; which port it draws matters where it keeps none."""
    into, out = [], []
    if kind in ("full-cone", "address-restricted"):
        seen = "meta l4proto . ip saddr . th dport @seen " if kind == "address-restricted" else ""
        into = [f"iifname wan meta l4proto {{ tcp, udp }} {seen}dnat ip to meta l4proto . th dport map @endpoints"]
        out = [
            "oifname wan meta l4proto { tcp, udp } update @endpoints { meta l4proto . th sport : ip saddr . th sport }",
            "oifname wan meta l4proto { tcp, udp } update @seen { meta l4proto . ip daddr . th sport }",
        ]
    if kind == "other-port":
        out = [f"oifname wan {protocol} sport 4001 snat to {wan}:{port}" for protocol in ("tcp", "udp")]
    out.append("oifname wan masquerade" + (" fully-random" if kind == "symmetric" else ""))
    # One that does not drop what comes in answers an early SYN with RST, and TCP holes are never punched.
    return f"""
table ip nat {{
  map endpoints {{ type inet_proto . inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; }}
  set seen {{ type inet_proto . ipv4_addr . inet_service; flags dynamic,timeout; timeout 300s; }}
  chain input {{ type filter hook input priority 0; policy drop;
    iifname {{ lo, lan }} accept; ct state established,related accept; icmp type echo-request accept; }}
  chain forward {{ type filter hook forward priority 0; policy drop;
    iifname lan accept; ct state established,related accept; ct status dnat accept; }}
  chain prerouting {{ type nat hook prerouting priority dstnat;
    {'''
    '''.join(into)}
  }}
  chain postrouting {{ type nat hook postrouting priority srcnat;
    {'''
    '''.join(out)}
  }}
}}
"""


UPNP_CHAINS = """
table inet filter {
  chain forward { type filter hook forward priority 10; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 90; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
"""

UPNP_SETTINGS = """
ext_ifname=wan
listening_ip=lan
port=5000
enable_natpmp=yes
enable_upnp=yes
min_lifetime=120
max_lifetime=86400
secure_mode=yes
uuid=00000000-0000-4000-8000-000000000001
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""

# How a host is on the network.
CLASSES = [
    "public",
    "full-cone",
    "address-restricted",
    "port-restricted",
    "other-port",
    "symmetric",
    "upnp",
    "carrier",
]


# A router that translates no addresses, and lets in what has been called alone.
FIREWALL = """
table ip6 firewall {
  chain input { type filter hook input priority 0; policy drop;
    iifname { lo, lan } accept; ct state established,related accept; meta l4proto ipv6-icmp accept; }
  chain forward { type filter hook forward priority 0; policy drop;
    iifname lan accept; ct state established,related accept; }
}
"""


class Internet:
    """A public network on one bridge; whatever is on it is as far away as the delay says, each way."""

    def __init__(self, delay, folder):
        self.cables, self.folder, self.hosts, self.routers = Cables(delay), folder, 0, {}
        namespace("internet")
        run("ip", "-n", "internet", "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", "internet", "link", "set", "bridge", "up")

    def plug(self, name, device):
        """Connects a namespace, and returns its address."""
        self.hosts += 1
        port, address = f"port{self.hosts}", f"5.5.0.{self.hosts}"
        self.cables.lay(name, device, "internet", port)
        run("ip", "-n", "internet", "link", "set", port, "master", "bridge")
        run("ip", "-n", name, "address", "add", f"{address}/16", "dev", device)
        self.routers[name] = (device, port, address)
        return address

    def host(self, name, kind):
        """A host of this class, and the address that it is seen at."""
        namespace(name)
        if kind == "public":
            return self.plug(name, "eth0")
        router = f"{name}-router"
        wan = self.router(router, kind)
        home = router
        if kind == "carrier":
            home = f"{name}-home"
            namespace(home)
            wire(router, "lan", home, "wan")
            run("ip", "-n", router, "address", "add", "100.64.0.1/24", "dev", "lan")
            run("ip", "-n", home, "address", "add", "100.64.0.2/24", "dev", "wan")
            run("ip", "-n", home, "route", "add", "default", "via", "100.64.0.1")
            self.forward(home, "port-restricted", "100.64.0.2")
        wire(home, "lan", name, "eth0")
        # Everybody's home has the same addresses.
        run("ip", "-n", home, "address", "add", "192.168.1.1/24", "dev", "lan")
        run("ip", "-n", name, "address", "add", "192.168.1.2/24", "dev", "eth0")
        run("ip", "-n", name, "route", "add", "default", "via", "192.168.1.1")
        if kind in ("upnp", "nat-pmp"):
            self.map_ports(router, kind)
        return wan

    def router(self, name, kind):
        namespace(name)
        wan = self.plug(name, "wan")
        self.forward(name, kind, wan)
        return wan

    def forward(self, name, kind, wan, port=24001):
        setting(name, "ipv4/ip_forward", 1)
        within(name, "nft", "-f", "-", text=rules(kind, wan, port))

    def home(self, router, names, kind="port-restricted"):
        """Several hosts behind one router, which sends nothing back to where it came from; where they are seen."""
        wan = self.router(router, kind)
        run("ip", "-n", router, "link", "add", "lan", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", router, "link", "set", "lan", "up")
        run("ip", "-n", router, "address", "add", "192.168.1.1/24", "dev", "lan")
        for number, name in enumerate(names, start=2):
            namespace(name)
            wire(router, f"port{number}", name, "eth0")
            run("ip", "-n", router, "link", "set", f"port{number}", "master", "lan")
            run("ip", "-n", name, "address", "add", f"192.168.1.{number}/24", "dev", "eth0")
            run("ip", "-n", name, "route", "add", "default", "via", "192.168.1.1")
        return wan

    def reboot(self, router, kind, off, port=24001):
        """A router is off for so many seconds, and has forgotten every connection when it is up again."""
        _, _, address = self.routers[router]
        self.cut(router)
        # What a kernel knows of connections goes with their namespace.
        namespace("attic")
        move(router, "attic", "wan", "lan")
        run("ip", "netns", "del", router)
        time.sleep(off)
        namespace(router)
        move("attic", router, "wan", "lan")
        run("ip", "netns", "del", "attic")
        run("ip", "-n", router, "address", "add", f"{address}/16", "dev", "wan")
        run("ip", "-n", router, "address", "add", "192.168.1.1/24", "dev", "lan")
        self.forward(router, kind, address, port)
        self.mend(router)

    def plug_ipv6(self, name):
        """Gives what is connected an IPv6 address besides, and returns that."""
        device, port, _ = self.routers[name]
        address = f"2a00:5::{port.removeprefix('port')}"
        run("ip", "-n", name, "address", "add", f"{address}/32", "dev", device, "nodad")
        return address

    def host_ipv6(self, name, ipv4=None):
        """A host with IPv6 behind a firewall with state, and with IPv4 behind a router of this class or without any."""
        router = f"{name}-router"
        if ipv4:
            self.host(name, ipv4)
        else:
            namespace(name)
            namespace(router)
            self.plug(router, "wan")
            wire(router, "lan", name, "eth0")
        network = self.plug_ipv6(router).replace("2a00:5::", "2a00:5:0:")
        run("ip", "-n", router, "address", "add", f"{network}::1/64", "dev", "lan", "nodad")
        run("ip", "-n", name, "address", "add", f"{network}::2/64", "dev", "eth0", "nodad")
        run("ip", "-n", name, "route", "add", "default", "via", f"{network}::1")
        setting(router, "ipv6/conf/all/forwarding", 1)
        # Everybody takes everybody for a neighbour, and the router answers for its host.
        setting(router, "ipv6/conf/wan/proxy_ndp", 1)
        run("ip", "-n", router, "neigh", "add", "proxy", f"{network}::2", "dev", "wan")
        within(router, "nft", "-f", "-", text=FIREWALL)
        return f"{network}::2"

    def swallow(self, router, family):
        """The router loses whatever it is to forward of this family (ip, ip6), and tells nobody."""
        chain = "chain forward { type filter hook forward priority -10; policy drop; };"
        within(router, "nft", "-f", "-", text=f"table {family} broken {{ {chain} }}")

    def map_ports(self, router, kind):
        within(router, "nft", "-f", "-", text=UPNP_CHAINS)
        settings = os.path.join(self.folder, f"{router}.conf")
        with open(settings, "w") as file:
            file.write(UPNP_SETTINGS if kind == "upnp" else UPNP_SETTINGS.replace("enable_upnp=yes", "enable_upnp=no"))
        arguments = ["miniupnpd", "-d", "-f", settings, "-P", os.path.join(self.folder, f"{router}.pid")]
        subprocess.Popen(["ip", "netns", "exec", router, *arguments], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)

    def cut(self, name):
        """Nothing gets through to a host or router any more."""
        run("ip", "-n", "internet", "link", "set", self.routers[name][1], "down")

    def mend(self, name):
        run("ip", "-n", "internet", "link", "set", self.routers[name][1], "up")

    def readdress(self, name, address):
        """A router gets another address, as from a provider; what it had mapped is gone."""
        device, _, before = self.routers[name]
        run("ip", "-n", name, "address", "del", f"{before}/16", "dev", device)
        run("ip", "-n", name, "address", "add", f"{address}/16", "dev", device)
        within(name, "nft", "flush", "ruleset")
        self.forward(name, "port-restricted", address)


def lan(hosts, isolated=()):
    """Hosts on one bridge, by name and address with its prefix; those that are isolated reach the others alone."""
    namespace("lan")
    run("ip", "-n", "lan", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
    run("ip", "-n", "lan", "link", "set", "bridge", "up")
    for number, (name, address) in enumerate(hosts.items()):
        namespace(name)
        port = f"port{number}"
        wire(name, "eth0", "lan", port)
        run("ip", "-n", "lan", "link", "set", port, "master", "bridge")
        if name in isolated:
            run("ip", "-n", "lan", "link", "set", port, "type", "bridge_slave", "isolated", "on")
        run("ip", "-n", name, "address", "add", address, "dev", "eth0")
        run("ip", "-n", name, "route", "add", "default", "dev", "eth0")


def routed(names):
    """Hosts of which each has a network of its own, and the router between these for its only neighbour; by address.

    On one bridge everybody would be everybody's neighbour, and a kernel has a table of 1,024 for all namespaces.
    """
    namespace("router")
    setting("router", "ipv4/ip_forward", 1)
    hosts = {f"5.{number}.0.1": name for number, name in enumerate(names, start=1)}
    for number, (address, name) in enumerate(hosts.items(), start=1):
        namespace(name)
        wire(name, "eth0", "router", f"port{number}")
        gateway = f"5.{number}.0.254"
        run("ip", "-n", "router", "address", "add", f"{gateway}/24", "dev", f"port{number}")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "route", "add", "default", "via", gateway)
    return hosts
