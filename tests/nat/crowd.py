"""What nodes cost that have nothing to do: packets, bytes and processor time of each, in networks of several sizes."""

import os
import time

from network import routed, run
from nodes import Node, TCP, at

SIZES = (15, 30, 60)
# By when nodes have let go of whom they do not need, and for how long they are looked at: until each has renewed its
# presence. In seconds.
SETTLED, LOOKED_AT = 1200, 1800
TICKS = os.sysconf("SC_CLK_TCK")


def spent(node):
    """Packets, bytes and seconds of processor time of a node so far; its host does nothing else."""
    with open(f"/proc/{node.process.pid}/net/dev") as file:
        [fields] = [line.split(":")[1].split() for line in file if line.strip().startswith("eth0:")]
    with open(f"/proc/{node.process.pid}/stat") as file:
        times = file.read().rsplit(")", 1)[1].split()[11:13]
    received, sent = ([int(each) for each in fields[first:first + 2]] for first in (0, 8))
    return received[1] + sent[1], received[0] + sent[0], sum(map(int, times)) / TICKS


def median(values):
    return sorted(values)[len(values) // 2]


def idle(folder):
    """Full nodes of one network, of which each has an address in another part of the internet, and none a session."""
    # Of the processes in this namespace.
    run("mount", "-t", "proc", "proc", "/proc")
    # Each network is joined through the first of its hosts.
    hosts = list(routed(f"host{number}" for number in range(sum(SIZES))).items())
    networks = []
    for size in SIZES:
        nodes, through = [], []
        for address, name in hosts[:size]:
            nodes.append(Node(folder, name, ["--listen", TCP, *through], preset="full").start())
            through = through or ["--bootstrap", at(address, nodes[0])]
        networks.append(nodes)
        del hosts[:size]
    time.sleep(SETTLED)
    before, since = [[spent(node) for node in nodes] for nodes in networks], time.monotonic()
    time.sleep(LOOKED_AT)
    after, took = [[spent(node) for node in nodes] for nodes in networks], time.monotonic() - since
    rates = []
    print("| full nodes | connections of each | packets a second | bytes a second | ms of processor time a second |")
    print("|---|---|---|---|---|")
    for nodes, *pair in zip(networks, before, after):
        each = [[(b - a) / took for a, b in zip(*spent)] for spent in zip(*pair)]
        packets, octets, seconds = (median(column) for column in zip(*each))
        rates.append((packets, octets))
        connected = median([len(node.json("peers")["peers"]) for node in nodes])
        print(f"| {len(nodes)} | {connected} | {packets:.1f} | {octets:,.0f} | {seconds * 1000:.2f} |", flush=True)
    (packets, octets), (more_packets, more_octets) = rates[0], rates[-1]
    print(f"from {SIZES[0]} to {SIZES[-1]} nodes packets grew {more_packets / packets:.2f} times and bytes "
          f"{more_octets / octets:.2f} times")
