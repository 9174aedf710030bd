"""Names and time: a server of names on a host of the laboratory, and a wall clock that can be put ahead."""

import mmap
import os
import shlex
import socket
import struct
import subprocess
import threading
import time

import network

ADDRESS, TEXT = 1, 16


def through(server, folder, command):
    """The command, for a host whose resolver is this server's address."""
    settings = f"{folder}.resolv.conf"
    with open(settings, "w") as file:
        file.write(f"nameserver {server}\n")
    # The namespace of a host has a tree of mounts of its own.
    mount = f"mount --bind {shlex.quote(settings)} /etc/resolv.conf"
    return ["sh", "-c", f'{mount} && exec "$@"', "sh", *command]


class Server:
    """Answers what is asked about some names, over UDP, from the moment it is up; until then it is silent.

    Of a name it knows the texts, or the one IPv4 address.
    """

    def __init__(self, internet, texts=(), addresses=()):
        self.address = internet.host("names", "public")
        self.texts, self.addresses, self.is_up, self.asked = dict(texts), dict(addresses), threading.Event(), 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        # A thread may be in another namespace than the others.
        network.go_into("names")
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((self.address, 53))
        while True:
            question, asker = opened.recvfrom(4096)
            self.asked += 1
            if self.is_up.is_set():
                opened.sendto(self.answer(question), asker)

    def answer(self, question):
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1:at + 1 + length].decode().lower())
            at += 1 + length
        kind, name, data = int.from_bytes(question[at + 1:at + 3], "big"), ".".join(labels), []
        if kind == TEXT:
            data = [bytes([len(text)]) + text.encode() for text in self.texts.get(name, ())]
        if kind == ADDRESS and name in self.addresses:
            data = [socket.inet_aton(self.addresses[name])]
        # An answer by a recursive server, without error: it names the question by a pointer to it, for a minute.
        head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(data), 0, 0)
        records = [struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(each)) + each for each in data]
        return head + question[12:at + 5] + b"".join(records)


class Clock:
    """The wall clock of all nodes that are given it: the machine's, and as many seconds as it was put ahead."""

    def __init__(self, folder):
        library, file = os.path.join(folder, "clock.so"), os.path.join(folder, "ahead")
        source = os.path.join(os.path.dirname(__file__), "clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source], check=True)
        with open(file, "wb") as made:
            made.write(bytes(8))
        with open(file, "r+b") as made:
            self.shared = mmap.mmap(made.fileno(), 8)
        self.variables = {"LD_PRELOAD": library, "CLOCK_AHEAD": file}

    def put_ahead(self, seconds):
        self.shared[:] = struct.pack("=q", seconds)


def base58(data):
    alphabet, number, text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def flood_link(host, address, peers, pause=0.01):
    """Tells a link by multicast DNS, from a host on it, that so many peers that do not exist are at one address."""
    service = b"\x04_p2p\x04_udp\x05local\x00"

    def send():
        network.go_into(host)
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((address, 5353))
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        for number in range(peers):
            # The identity of an Ed25519 key, as libp2p spells it.
            peer = base58(b"\x00\x24\x08\x01\x12\x20" + os.urandom(32))
            name = b"%c%s" % (32, f"{number:032}".encode()) + service
            text = f"dnsaddr=/ip4/{address}/tcp/{4002 + number % 1000}/p2p/{peer}".encode()
            answer = service + struct.pack("!HHIH", 12, 1, 360, len(name)) + name
            further = name + struct.pack("!HHIHB", TEXT, 0x8001, 360, len(text) + 1, len(text)) + text
            opened.sendto(struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 1) + answer + further, ("224.0.0.251", 5353))
            time.sleep(pause)

    sender = threading.Thread(target=send)
    sender.start()
    sender.join()
