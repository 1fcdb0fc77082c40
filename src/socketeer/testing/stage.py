"""Several servers with clients, for tests that ask what reaches whom; and where contracts begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any
from unittest import SkipTest

from socketeer.options import Recovery
from socketeer.protocol.packet import EVENT, Packet
from socketeer.protocol.parser import Parser, Partial
from socketeer.server.adapter import Adapter
from socketeer.server.server import BaseServer
from socketeer.server.socket import Socket
from socketeer.testing.inprocess import WireClient

_FENCE = "~fence"


def same(got: Any, expected: Any, what: str) -> None:
    """Compare, and say what was compared where they differ.

    Raises:
        AssertionError: they differ.
    """
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"


class Actor:
    """One client: what it has been told, decoded, and its socket on the server.

    Attributes:
        node: the number of its server.
        socket: the server's socket for it.
        events: those that it has got and nobody has looked at yet, each as name and arguments.
        questions: the same for those that want an acknowledgement, as packets.
        fences: the numbers of the events by which :meth:`Stage.heard` knows that nothing more is to come.
        offset: that of the last event, where the server recovers sessions.
    """

    def __init__(
        self,
        io: BaseServer,
        node: int,
        namespace: str = "/",
        auth: object = None,
        joined: tuple[WireClient, Socket] | None = None,
    ) -> None:
        client = WireClient(io) if joined is None else joined[0]
        self.node = node
        self.client = client
        self.socket: Socket = client.connect(namespace, auth) if joined is None else joined[1]
        self.events: list[list[Any]] = []
        self.questions: list[Packet] = []
        self.fences: set[int] = set()
        self.offset: str | None = None
        self._recovers = io.recovery is not None
        self._partial: Partial | None = None
        self._parser = Parser()

    @property
    def id(self) -> str:
        """``socket.id``."""
        return self.socket.id

    @property
    def pid(self) -> str:
        """The private id."""
        return str(self.client.welcome["pid"])

    def listen(self) -> None:
        """Take what has come."""
        for data in self.client.heard():
            packet = self._decode(data)
            if packet is not None and packet.type == EVENT:
                self._take(packet)

    def _decode(self, data: str | bytes) -> Packet | None:
        if isinstance(data, bytes):
            assert self._partial is not None, f"binary without a packet: {data!r}"
            return self._partial.add(data)
        if not data.startswith("4"):
            return None
        packet = self._parser.decode(data.encode())
        self._partial = packet if isinstance(packet, Partial) else None
        return None if isinstance(packet, Partial) else packet

    def _take(self, packet: Packet) -> None:
        args = packet.data
        if packet.id is not None:
            self.questions.append(packet)
            return
        if self._recovers and isinstance(args[-1], str) and len(args) > 1:
            self.offset = args.pop()
        if args[0] == _FENCE:
            self.fences.add(args[1])
        else:
            self.events.append(args)

    def answer(self, *args: Any) -> bool:
        """Acknowledge the oldest question; False if there is none yet."""
        self.listen()
        if not self.questions:
            return False
        question = self.questions.pop(0)
        answer = self._parser.encode_ack(self.socket.nsp.prefix, question.id or 0, args)
        self.client.say(answer.text.decode(), *answer.attachments)
        return True


class Stage:
    """Servers that belong together, and the clients of each.

    Args:
        servers: one for each node.
        patience: seconds that anything may take.
    """

    def __init__(self, servers: Sequence[BaseServer], patience: float) -> None:
        self.servers = list(servers)
        self.patience = patience
        self.actors: list[Actor] = []
        self._fences = 0

    def enter(self, node: int, namespace: str = "/", auth: object = None) -> Actor:
        """A new client of that node's server."""
        actor = Actor(self.servers[node], node, namespace, auth)
        self.actors.append(actor)
        return actor

    async def reenter(self, node: int, namespace: str = "/", auth: object = None) -> Actor:
        """A client that comes back, with its private id and offset: the server may have to ask other nodes or a broker."""
        io = self.servers[node]
        client = WireClient(io)
        actor = Actor(io, node, joined=(client, await client.rejoin(namespace, auth)))
        if isinstance(auth, dict):  # which it knows until the next event
            actor.offset = auth.get("offset")
        self.actors.append(actor)
        return actor

    async def until(self, met: Callable[[], bool | Awaitable[bool]], what: str) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: it is not, within ``patience``.
        """
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    answer = met()
                    if await answer if isawaitable(answer) else answer:
                        return
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"expected that {what}, waited {self.patience} s in vain") from None

    async def gather(self, namespace: str) -> None:
        """Wait until the nodes know each other in this namespace."""
        count = len(self.servers)
        for io in self.servers:
            adapter = io.of(namespace).adapter

            async def complete(adapter: Adapter = adapter) -> bool:
                return await adapter.server_count() == count

            await self.until(complete, f"each node knows of {count} in {namespace}")

    async def heard(self, *actors: Actor) -> list[list[list[Any]]]:
        """What each of these clients (all that are connected, if none are named) has got since the last look.

        Each server emits one more event; once that has come, all that was emitted before it has come too.
        """
        listening = [actor for actor in actors or self.actors if actor.socket.connected]
        first, self._fences = self._fences, self._fences + len(self.servers)
        for number, io in enumerate(self.servers, first):
            for nsp in {actor.socket.nsp.name for actor in listening}:
                io.of(nsp).emit(_FENCE, number)
        wanted = set(range(first, self._fences))
        for actor in listening:

            def complete(actor: Actor = actor) -> bool:
                actor.listen()
                return wanted <= actor.fences

            await self.until(
                complete, f"the client of node {actor.node} gets what each node emits to everybody"
            )
        found = [actor.events for actor in listening]
        for actor in listening:
            actor.events = []
        return found

    async def answers(self, *actors: Actor) -> None:
        """Each of these clients acknowledges the next question with the number of its place."""
        for number, actor in enumerate(actors):
            await self.until(lambda a=actor, n=number: a.answer(n), f"client {number} is asked")  # type: ignore[misc]


class Contract:
    """What contracts about adapters have in common."""

    nodes = 1
    """How many servers to make: more than one for an adapter that reaches other nodes."""
    patience = 5.0
    """Seconds that anything may take."""
    brief = 0.3
    """Seconds to wait for an acknowledgement that does not come, and to keep a session that expires."""

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        """Servers of one cluster, each with the adapter under test and these options of :class:`BaseServer`.

        To be written by the subclass. Called anew for each test.
        """
        raise NotImplementedError

    async def close_servers(self, servers: Sequence[BaseServer]) -> None:
        """End what :meth:`make_servers` has begun; some servers may be closed already."""
        for io in servers:
            await io.close()

    @asynccontextmanager
    async def stage(self, clients: int = 1, **options: Any) -> AsyncIterator[Stage]:
        """The servers, with so many clients on each, once all nodes know each other."""
        servers = await self.make_servers(self.nodes, **options)
        stage = Stage(servers, self.patience)
        try:
            for io in servers:
                io.start()
            await stage.gather("/")
            for node in range(self.nodes):
                for _ in range(clients):
                    stage.enter(node)
            yield stage
        finally:
            await self.close_servers(servers)

    @asynccontextmanager
    async def recovering(self, **options: Any) -> AsyncIterator[Stage]:
        """A stage whose servers recover sessions; skips where the adapter cannot."""
        async with self.stage() as stage:
            if not stage.servers[0].adapter.capabilities.recovery:
                raise SkipTest("the adapter keeps no sessions (capabilities.recovery)")
        async with self.stage(connection_state_recovery=Recovery(**options)) as stage:
            yield stage
