"""The installed package: the shared script, errors, threads.

    python tests/test_package.py
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import unittest
from pathlib import Path
from typing import Any

from nelumbo import Machine, NelumboError, Signer, call, call_text

SAME = Path(__file__).parents[2] / "same"
PARAMS = {"network": "regtest", "peer": "AAAA"}


def play(known: dict[str, Any], step: dict[str, Any]) -> str:
    """What a call gives: text as it is, nothing as `null`, an error as its JSON."""
    what, name, text = step["do"], step.get("name", ""), step.get("text", "")
    times = (step.get("mono_ms", 0.0), step.get("wall_ms", 0.0))
    if what == "call":
        return call_text(text)
    if what == "machine":
        known[name] = Machine(text, bytes.fromhex(step["secret"]), bytes.fromhex(step["seed"]), *times)
        return "null"
    if what == "signer":
        known[name] = Signer(bytes.fromhex(step["secret"]), bytes.fromhex(step["seed"]))
        return str(known[name].key)
    it = known[name]
    if what == "handle":
        it.handle(*times, text)
        return "null"
    if what == "command":
        return str(it.command(*times, text))
    if what == "deadline":
        due = it.deadline()
        return "null" if due is None else str(int(due))
    result: str = {"poll": lambda: it.poll_text(), "view": lambda: it.view_text()}.get(
        what, lambda: getattr(it, f"{what}_text")(text)
    )()
    return result


class Package(unittest.TestCase):
    def test_the_shared_script_gives_the_same_outputs_as_in_rust(self) -> None:
        known: dict[str, Any] = {}
        outputs = []
        for line in (SAME / "script.jsonl").read_text("utf-8").splitlines():
            try:
                outputs.append(play(known, json.loads(line)))
            except NelumboError as error:
                outputs.append(error.text)
        text = "".join(f"{output}\n" for output in outputs)
        if path := os.environ.get("NELUMBO_OUTPUTS"):
            Path(path).write_text(text, "utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.assertEqual(digest, (SAME / "outputs.sha256").read_text().strip())

    def test_what_is_wrong_has_a_code(self) -> None:
        def code(act: Any) -> str:
            with self.assertRaises(NelumboError) as raised:
                act()
            self.assertTrue(raised.exception.remedy)
            return raised.exception.code

        secret = os.urandom(32)
        self.assertEqual(code(lambda: Machine(PARAMS, b"short", secret, 0, 0)), "bad-argument")
        self.assertEqual(code(lambda: Machine(PARAMS, bytes(32), secret, 0, 0)), "bad-secret")
        self.assertEqual(code(lambda: Machine(PARAMS, secret, secret, float("nan"), 0)), "bad-time")
        self.assertEqual(code(lambda: Machine("{", secret, secret, 0, 0)), "bad-json")
        self.assertEqual(code(lambda: Signer(secret, bytes(32))), "bad-seed")
        self.assertEqual(code(lambda: call({"type": "nothing"})), "bad-json")
        machine = Machine(PARAMS, secret, os.urandom(32), 0, 1.8e12)
        self.assertEqual(code(lambda: machine.command(0, 1.8e12, {"type": "withdraw"})), "nothing-offered")
        with self.assertRaises(TypeError):
            machine.handle("now", 0, [])  # type: ignore[arg-type]

    def test_threads_wait_for_each_other(self) -> None:
        machine = Machine(PARAMS, os.urandom(32), os.urandom(32), 0, 1.8e12)

        def spin() -> None:
            for at in range(300):
                machine.handle(at, 1.8e12, [{"type": "tick"}])
                machine.poll()

        threads = [threading.Thread(target=spin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(machine.view()["sessions"]), 0)


if __name__ == "__main__":
    unittest.main()
