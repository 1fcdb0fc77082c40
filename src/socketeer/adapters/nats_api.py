"""What is asked of JetStream: streams that are made where they are missing, messages found, taken out, and read on from.

https://docs.nats.io/reference/reference-protocols/nats_api_reference. Every answer is the stream's leader's,
so that what one node has been told is stored is there for all others.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from socketeer.adapters.codec import from_json, to_json
from socketeer.errors import BrokerUnavailable, PacketError

if TYPE_CHECKING:
    from socketeer.adapters.nats_link import NatsLink

#: Messages of one page, and their bytes, at most.
_PAGE: Final = 256
_PAGE_BYTES: Final = 4 * 1024 * 1024

#: Seconds after which JetStream forgets a reader that was cut off.
_READER: Final = 10

_BILLION: Final = 1_000_000_000

_NO_STREAM: Final = 10059
_NO_MESSAGE: Final = frozenset({10037, 10043, 10057})
_OTHER_SETTINGS: Final = 10058


class Refusal(BrokerUnavailable):
    """JetStream does not do it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Stored(NamedTuple):
    """A message in a stream."""

    place: int
    """Its number there."""
    subject: str
    payload: bytes


class Reading(NamedTuple):
    """Some messages of one subject."""

    found: list[tuple[int, bytes]]
    """Places and payloads, in order."""
    more: bool
    """Whether there were more."""


class JetStreamApi:
    """JetStream, over one connection.

    Args:
        link: the connection.
        domain: whose JetStream it is; None: the account's own.
    """

    def __init__(self, link: NatsLink, domain: str | None = None) -> None:
        self._link = link
        self._start = "$JS.API" if domain is None else f"$JS.{domain}.API"

    async def _ask(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = from_json(await self._link.ask(f"{self._start}.{verb}", to_json(body) or b""))
        if not isinstance(answer, dict):
            raise PacketError(f"expected an answer of JetStream, got {answer!r:.100}")
        error = answer.get("error")
        if isinstance(error, dict):
            text, code = str(error.get("description"))[:200], error.get("err_code")
            raise Refusal(f"JetStream: {text} ({verb})", code if isinstance(code, int) else 0)
        return answer

    # --- streams ------------------------------------------------------------------------------------

    async def stream(self, wanted: Mapping[str, Any], essential: tuple[str, ...]) -> str:
        """Make a stream unless it is there.

        Args:
            wanted: its settings.
            essential: those of them that must be so where somebody else has made it.

        Returns:
            When it was made: another one of this name has another time.

        Raises:
            Refusal: it cannot be made, or is made for something else.
        """
        name = wanted["name"]
        try:
            info = await self._ask(f"STREAM.INFO.{name}", {})
        except Refusal as refusal:
            if refusal.code != _NO_STREAM:
                raise
            info = await self._make(name, wanted)
        found = info.get("config", {})
        for each in essential:
            if found.get(each) != wanted[each]:
                raise Refusal(
                    f"JetStream: the stream {name} is for something else: "
                    f"{each} is {found.get(each)!r:.100}, expected {wanted[each]!r}",
                    _OTHER_SETTINGS,
                )
        return str(info.get("created"))

    async def _make(self, name: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._ask(f"STREAM.CREATE.{name}", wanted)
        except Refusal as refusal:
            if refusal.code != _OTHER_SETTINGS:
                raise
            return await self._ask(f"STREAM.INFO.{name}", {})  # another node was quicker

    async def bounds(self, stream: str) -> tuple[int, int]:
        """The places of the first message that a stream still has, and of the last that it has ever had."""
        state = (await self._ask(f"STREAM.INFO.{stream}", {}))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    # --- messages -----------------------------------------------------------------------------------

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message of a subject, if there is one."""
        return await self._get(stream, {"last_by_subj": subject})

    async def at(self, stream: str, place: int) -> Stored | None:
        """The message at a place, if it is still there."""
        return await self._get(stream, {"seq": place})

    async def _get(self, stream: str, which: Mapping[str, Any]) -> Stored | None:
        try:
            found = (await self._ask(f"STREAM.MSG.GET.{stream}", which))["message"]
        except Refusal as refusal:
            if refusal.code in _NO_MESSAGE:
                return None
            raise
        return Stored(int(found["seq"]), str(found["subject"]), b64decode(found.get("data", "")))

    async def take_out(self, stream: str, place: int) -> bool:
        """Delete a message; of all who try, one is told that it has."""
        try:
            await self._ask(f"STREAM.MSG.DELETE.{stream}", {"seq": place, "no_erase": True})
        except Refusal as refusal:
            if refusal.code in _NO_MESSAGE:
                return False
            raise
        return True

    async def read(self, stream: str, subject: str, start: int) -> Reading:
        """Some of a subject's messages, from a place on."""
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start,
            "filter_subject": subject,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": _READER * _BILLION,
            "mem_storage": True,
            "num_replicas": 1,
        }
        made = await self._ask(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
        reader, wanted = f"{stream}.{made['name']}", min(int(made["num_pending"]), _PAGE)
        pull = _Pull(wanted)
        if wanted:
            body = {
                "batch": wanted,
                "no_wait": True,
                "max_bytes": max(_PAGE_BYTES, 2 * self._link.max_payload),
            }
            async with self._link.deliveries(pull) as inbox:
                await self._link.post(
                    f"{self._start}.CONSUMER.MSG.NEXT.{reader}", to_json(body) or b"", inbox
                )
                await pull.done.wait()
        with self._link.answers(lambda *_: None) as inbox:  # nobody waits for that one
            await self._link.post(f"{self._start}.CONSUMER.DELETE.{reader}", b"", inbox)
        return Reading(pull.found, pull.left > 0)


class _Pull:
    """Gathers one page."""

    def __init__(self, wanted: int) -> None:
        self.found: list[tuple[int, bytes]] = []
        self.left = 0
        """Messages behind the last one."""
        self.done = asyncio.Event()
        self._wanted = wanted

    def __call__(self, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if headers is not None and headers.startswith(b"NATS/1.0 "):  # there is no more for now
            self.done.set()
            return
        # $JS.ACK.[domain.account.]stream.consumer.delivered.place.number.time.left[.random]
        parts = reply.split(b".")
        shift = 0 if len(parts) == 9 else 2
        try:
            self.found.append((int(parts[5 + shift]), data))
            self.left = int(parts[8 + shift])
        except (IndexError, ValueError):
            return  # not JetStream's
        if len(self.found) >= self._wanted:
            self.done.set()
