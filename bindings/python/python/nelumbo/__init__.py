"""MuSig2 signing sessions between peers, without I/O.

A `Machine` is one signer's node. Tell it what has happened (`handle`) and what its owner wants (`command`), do what it
asks (`poll`), and come back when it wants to be called (`deadline`). What goes in and comes out are the objects of
bindings/ffi/schema.json, as dictionaries. A machine may move between threads; calls of several wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from . import _native

__all__ = ["Machine", "NelumboError", "Signer", "call"]

#: An object of the schema.
Object = Mapping[str, Any]
_T = TypeVar("_T")


class NelumboError(Exception):
    """Why nothing was done. `code` stays the same in later versions; `message` and `remedy` are for people."""

    def __init__(self, text: str) -> None:
        error: dict[str, str] = json.loads(text)
        self.code, self.message, self.remedy = error["code"], error["message"], error["remedy"]
        #: All of it as JSON.
        self.text = text
        super().__init__(f"{self.message} ({self.code}); {self.remedy}")


def _raising(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except _native.NativeError as error:
        raise NelumboError(str(error)) from None


def _text(value: object) -> str:
    """JSON; a text is JSON already."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Machine:
    """One signer's node."""

    def __init__(self, params: Object | str, secret: bytes, seed: bytes, mono_ms: float, wall_ms: float) -> None:
        """A node that remembers what the records in `params` say.

        `secret` is the key that signs, or, with a `signing_key` in `params`, the one that signs messages only. `seed`
        must be fresh for each machine, from `os.urandom(32)`: two with one seed can give the key away. `mono_ms` is
        milliseconds since an origin of yours, by a clock that never goes back; `wall_ms` since 1970.
        """
        self._native = _raising(lambda: _native.Machine(_text(params), secret, seed, mono_ms, wall_ms))

    def handle(self, mono_ms: float, wall_ms: float, inputs: Iterable[Object] | str) -> None:
        """Takes facts about the world, `Input` in the schema: together, or none of them."""
        text = inputs if isinstance(inputs, str) else _text(list(inputs))
        _raising(lambda: self._native.handle(mono_ms, wall_ms, text))

    def command(self, mono_ms: float, wall_ms: float, command: Object | str) -> int:
        """Takes a wish, `Command` in the schema; gives its number, by which events answer to it."""
        return _raising(lambda: self._native.command(mono_ms, wall_ms, _text(command)))

    def poll(self) -> list[dict[str, Any]]:
        """Everything that the node wants of its host, in order: `Output` in the schema."""
        outputs: list[dict[str, Any]] = json.loads(self.poll_text())
        return outputs

    def poll_text(self) -> str:
        """The same as JSON."""
        return _raising(self._native.poll)

    def deadline(self) -> float | None:
        """When to give it the input `tick` if nothing else happens, in `mono_ms`."""
        return _raising(self._native.deadline)

    def view(self) -> dict[str, Any]:
        """The node's state: `View` in the schema."""
        view: dict[str, Any] = json.loads(self.view_text())
        return view

    def view_text(self) -> str:
        """The same as JSON."""
        return _raising(self._native.view)


class Signer:
    """A signing key that answers the output `sign` of a machine that has it not."""

    def __init__(self, secret: bytes, seed: bytes) -> None:
        """A signer with this key; about `seed` see `Machine`."""
        self._native = _raising(lambda: _native.Signer(secret, seed))

    @property
    def key(self) -> str:
        """The public key, in hexadecimal."""
        return _raising(self._native.key)

    def describe(self, request: Object | str) -> dict[str, Any] | None:
        """What a person is to be asked before `answer`: `Approval` in the schema, or nothing."""
        approval: dict[str, Any] | None = json.loads(self.describe_text(request))
        return approval

    def describe_text(self, request: Object | str) -> str:
        """The same as JSON."""
        return _raising(lambda: self._native.describe(_text(request)))

    def answer(self, request: Object | str) -> dict[str, Any] | None:
        """Does what is asked, without asking anybody: `SignReply` in the schema, or nothing."""
        reply: dict[str, Any] | None = json.loads(self.answer_text(request))
        return reply

    def answer_text(self, request: Object | str) -> str:
        """The same as JSON."""
        return _raising(lambda: self._native.answer(_text(request)))


def call(question: Object | str) -> dict[str, Any]:
    """Answers what needs no machine: `Call` and `Answer` in the schema."""
    answer: dict[str, Any] = json.loads(call_text(question))
    return answer


def call_text(question: Object | str) -> str:
    """The same as JSON."""
    return _raising(lambda: _native.call(_text(question)))
