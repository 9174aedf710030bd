"""Three signers on asyncio, over TCP, sign a message together; one of them is restarted in between.

A real program keeps its keys, uses a transport that says who is at the other end, and asks a person before it joins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import struct
import tempfile
import time
from pathlib import Path
from typing import Any
from nelumbo import Machine, call

MESSAGE = b"what three of us have agreed to.".hex()


class Node:
    def __init__(self, folder: Path, peer: str) -> None:
        self.peer = peer
        self.writers: dict[str, asyncio.StreamWriter] = {}
        self.inputs: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.signature: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.found: set[str] = set()
        self.journal = sqlite3.connect(folder / f"{peer}.db", isolation_level=None)
        self.journal.execute("PRAGMA synchronous = FULL")
        self.journal.execute("CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value TEXT)")
        records = self.journal.execute("SELECT * FROM records").fetchall()
        secret = folder / f"{peer}.key"
        secret.exists() or secret.write_bytes(os.urandom(32))
        params = {"network": "regtest", "peer": peer, "records": records}
        self.machine = Machine(params, secret.read_bytes(), os.urandom(32), *self.now())
        self.key: str = self.machine.view()["key"]
        self.tasks = [asyncio.create_task(self.run())]

    @staticmethod
    def now() -> tuple[float, float]:
        return time.monotonic() * 1e3, time.time() * 1e3

    async def listen(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.attend((await self.read(reader)).decode(), reader, writer)

    async def connect(self, peer: str, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.write(writer, self.peer.encode())
        self.tasks.append(asyncio.create_task(self.attend(peer, reader, writer)))

    async def attend(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers[peer] = writer
        self.inputs.put_nowait({"type": "connected", "peer": peer})
        try:
            while True:
                self.inputs.put_nowait({"type": "received", "peer": peer, "bytes": (await self.read(reader)).hex()})
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            if self.writers.get(peer) is writer:
                del self.writers[peer]
                self.inputs.put_nowait({"type": "disconnected", "peer": peer})

    @staticmethod
    async def read(reader: asyncio.StreamReader) -> bytes:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        return await reader.readexactly(min(length, 100_000))  # No message is longer.

    @staticmethod
    def write(writer: asyncio.StreamWriter, message: bytes) -> None:
        writer.write(struct.pack(">I", len(message)) + message)

    async def run(self) -> None:
        """The loop: what has happened goes in, what is to be done comes out."""
        while True:
            outputs = self.machine.poll()
            changes = [(output["key"], output["value"]) for output in outputs if output["type"] == "persist"]
            if changes:  # One transaction: durable, all of it, before the machine hears of it.
                self.journal.execute("BEGIN")
                self.journal.executemany("REPLACE INTO records VALUES (?, ?)", changes)
                self.journal.execute("DELETE FROM records WHERE value IS NULL")
                self.journal.execute("COMMIT")
                sequence = max(output["sequence"] for output in outputs if output["type"] == "persist")
                self.inputs.put_nowait({"type": "persisted", "sequence": sequence})
            for output in outputs:
                if output["type"] == "send" and output["peer"] in self.writers:
                    self.write(self.writers[output["peer"]], bytes.fromhex(output["bytes"]))
                elif output["type"] == "event":
                    self.hear(output["event"])
            due = self.machine.deadline()
            batch: list[dict[str, Any]] = [{"type": "tick"}]
            with contextlib.suppress(asyncio.TimeoutError):
                wait = None if due is None else max(0.0, due - self.now()[0]) / 1e3
                batch.append(await asyncio.wait_for(self.inputs.get(), wait))
            while not self.inputs.empty():
                batch.append(self.inputs.get_nowait())
            self.machine.handle(*self.now(), batch)

    def hear(self, event: dict[str, Any]) -> None:
        if event["type"] == "signer-connected":
            self.found.add(event["key"])
        elif event["type"] == "session-announced":  # To join is to approve: is it what was agreed?
            print(f"{self.peer} is asked to sign: {event['summary']['line']}")
            assert event["summary"]["signs"]["messages"][0]["hex"] == MESSAGE, "this is something else"
            self.machine.command(*self.now(), {"type": "join", "session": event["session"], "allow": ["opaque"]})
        elif event["type"] == "session-completed" and not self.signature.done():
            self.signature.set_result(event["signatures"][0])

    async def stop(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.writers.values():
            writer.close()
        self.journal.close()


async def main(folder: Path) -> None:
    nodes = [Node(folder, peer * 8) for peer in "ABC"]
    ports = [await node.listen() for node in nodes]
    for place, node in enumerate(nodes):
        for other in range(place):
            await node.connect(nodes[other].peer, ports[other])
    keys = [node.key for node in nodes]
    while len(nodes[0].found) < 2:
        await asyncio.sleep(0.01)
    session = {"suite": "lotus", "keys": keys, "items": [{"type": "message", "message": MESSAGE}], "allow": ["opaque"]}
    nodes[0].machine.command(*Node.now(), {"type": "create", **session})
    nodes[0].inputs.put_nowait({"type": "tick"})
    await nodes[2].stop()
    nodes[2] = Node(folder, nodes[2].peer)  # With the same key and journal, and new entropy.
    ports[2] = await nodes[2].listen(ports[2])
    await asyncio.gather(nodes[2].connect(nodes[0].peer, ports[0]), nodes[2].connect(nodes[1].peer, ports[1]))
    signatures = {await asyncio.wait_for(node.signature, 60) for node in nodes}
    (signature,) = signatures
    key = call({"type": "aggregate", "suite": "lotus", "keys": keys})["challenge_key"]
    claim = {"suite": "lotus", "key": key, "message": MESSAGE, "signature": signature}
    assert call({"type": "verify", **claim})["is_valid"], "the signature is not valid"
    print(f"signed by three: {signature}")
    await asyncio.gather(*(node.stop() for node in nodes))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
