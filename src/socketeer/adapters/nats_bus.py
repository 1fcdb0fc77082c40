"""NATS: the bus over its subjects.

https://docs.nats.io/nats-concepts/core-nats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from socketeer.adapters.broker import BrokerBus, LinkOptions, Outgoing
from socketeer.checks import whole
from socketeer.errors import BrokerUnavailable, MessageTooLarge, OptionError

if TYPE_CHECKING:
    from nats.aio.client import Client

    from socketeer.adapters.nats_link import NatsLink

#: A URL (``nats://``, ``tls://``), several of one cluster, or a client whose settings are taken.
NatsServer: TypeAlias = "str | Sequence[str] | Client"

LOCAL: Final = "nats://127.0.0.1:4222"

#: Bytes of one message, at most, as long as the server says nothing else: its own default (``max_payload``).
MAX_MESSAGE: Final = 1024 * 1024

#: Characters of a token that stand for a name as it is; longer ones stand for its hash.
MAX_TOKEN: Final = 200

#: What needs no escape in a token. NATS itself gives ``.``, ``*`` and ``>`` a meaning, and takes no spaces.
_SAFE: Final = re.compile(rb"[^A-Za-z0-9_/-]")
_SUBJECT: Final = re.compile(r"(?!==)[A-Za-z0-9_/=-]+(\.(?!==)[A-Za-z0-9_/=-]+)*")

#: Characters of a subject: a server takes lines of 4096 bytes.
_MAX_SUBJECT: Final = 1000


def token(name: str) -> str:
    """A name as one token of a subject: two names never have the same one."""
    raw = name.encode("utf-8", "surrogatepass")
    if 0 < len(raw) <= MAX_TOKEN:
        escaped = _SAFE.sub(lambda found: b"=%02X" % ord(found.group()), raw)
        if len(escaped) <= MAX_TOKEN:
            return escaped.decode()
    return f"=={sha256(raw).hexdigest()}"


def is_subject(text: str) -> bool:
    """Whether it may stand for itself, as a subject or as the beginning of one."""
    return _SUBJECT.fullmatch(text) is not None


@lru_cache(1024)
def subject(channel: str) -> bytes:
    """The subject of a channel: a channel that is a plain subject is meant as it is, others become one token."""
    if len(channel) <= _MAX_SUBJECT and is_subject(channel):
        return channel.encode()
    return b"==." + token(channel).encode()


class NatsBus(BrokerBus):
    """A bus over NATS, by one connection.

    Args:
        server: where it is.
        connect: more arguments of ``nats.connect``: credentials, TLS.
        link: how the link is looked after.
        max_message_size: bytes of one message. Once connected it is the server's ``max_payload``, if that is less.

    Raises:
        OptionError: this is no server, or no settings.
        ImportError: nats-py is missing.
    """

    def __init__(
        self,
        server: NatsServer = LOCAL,
        *,
        connect: Mapping[str, Any] | None = None,
        link: LinkOptions | None = None,
        max_message_size: int = MAX_MESSAGE,
    ) -> None:
        whole("max_message_size", max_message_size, 1)
        self._servers, self._settings = _plan(server, connect)
        name = ", ".join(urlsplit(each).netloc.rpartition("@")[2] for each in self._servers)
        super().__init__(f"NATS at {name}", link or LinkOptions(), max_message_size)
        self._wished_size = max_message_size
        self._link: NatsLink | None = None
        self._numbers: dict[str, int] = {}
        """Subscriptions by channel."""
        self._channels: dict[int, str] = {}
        """And the other way round."""

    async def _connect(self) -> None:
        from socketeer.adapters.nats_link import NatsLink  # noqa: PLC0415 - an extra

        self._numbers.clear()
        self._channels.clear()
        link = self._link = NatsLink(self._take)
        await link.open(self._servers, self._settings, self.options.connect_timeout)
        self.max_message_size = min(self._wished_size, link.max_payload)

    async def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.abort()

    def _linked(self) -> NatsLink:
        if self._link is None:
            raise ConnectionError("the connection was closed")
        return self._link

    async def _listen(self) -> None:
        await self._linked().ended()

    def _take(self, number: int, payload: bytes, headers: bytes | None) -> None:  # noqa: ARG002 - for others
        self.received(self._channels[number], payload)

    async def _subscribe(self, add: Sequence[str], remove: Sequence[str]) -> None:
        link, lines = self._linked(), list[bytes]()
        for channel in add:
            number = link.subscription()
            self._numbers[channel], self._channels[number] = number, channel
            lines.append(b"SUB %b %d\r\n" % (subject(channel), number))
        gone = [self._numbers.pop(channel) for channel in remove]
        lines += [b"UNSUB %d\r\n" % number for number in gone]
        await link.say(lines)
        for number in gone:
            link.forget(number)
            del self._channels[number]

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        await self._linked().say(self._publications(batch))

    def _publications(
        self, batch: Sequence[Outgoing], reply: Callable[[str], bytes] | None = None
    ) -> list[bytes]:
        """Commands to publish these, with an inbox for each channel that is to be answered."""
        lines: list[bytes] = []
        for each in batch:
            size = len(each.payload)
            if size > self.max_message_size:  # it was queued before the server had told its limit
                each.failed(MessageTooLarge(f"{self.health.name} takes {self.max_message_size} bytes"))
                continue
            inbox = b"" if reply is None else reply(each.channel)
            lines += (b"PUB %b %b %d\r\n" % (subject(each.channel), inbox, size), each.payload, b"\r\n")
        return lines

    async def _ping(self) -> None:
        await self._linked().say(())

    async def subscribers(self, channel: str) -> int:
        """NATS does not say.

        Raises:
            BrokerUnavailable: always.
        """
        raise BrokerUnavailable(
            f"{self.health.name}: NATS does not say who has subscribed to {channel!r:.100}"
        )


def _plan(server: NatsServer, connect: Mapping[str, Any] | None) -> tuple[Sequence[str], dict[str, Any]]:
    try:
        from socketeer.adapters.nats_link import plan  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("nats-py is needed: pip install 'socketeer[nats]'") from error
    servers, settings = plan(server, connect)
    if not isinstance(servers, Sequence) or not servers or not all(map(_is_url, servers)):
        raise OptionError(f"server: expected a URL such as {LOCAL}, or several, got {type(server).__name__}")
    return servers, settings


def _is_url(text: Any) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"nats", "tls"} and bool(url.hostname) and url.port != 0
    except (ValueError, AttributeError, TypeError):
        return False
