"""Namespaces that are made when they are asked for: by a pattern or by a function.

https://socket.io/docs/v4/namespaces/#dynamic-namespaces. A :class:`ParentNamespace` holds what its
children get at their making; :class:`Parents` finds the one that takes a name.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, NoReturn

from socketeer.errors import ConnectionRefused, UsageError
from socketeer.messaging.connection import Connection
from socketeer.messaging.eager import start
from socketeer.protocol.packet import CONNECT_ERROR, Packet
from socketeer.server.adapter import Adapter, Room, Target
from socketeer.server.memory import MemoryAdapter
from socketeer.server.namespace import Namespace
from socketeer.server.operators import Sent
from socketeer.server.ports import NamespaceHost
from socketeer.server.published import published

log = logging.getLogger("socketeer")

#: ``(name, auth)``, plain or async: whether there shall be a namespace of that name.
NameFunction = Callable[[str, dict[str, Any]], bool | Awaitable[bool]]

#: Which names a parent takes.
NameRule = re.Pattern[str] | NameFunction


class ParentNamespace(Namespace):
    """What the namespaces made by one pattern or function have in common.

    No client is in it. A child gets the middlewares and listeners that the parent has when the child
    is made; those that are added to the parent later reach later children only. What is emitted here
    reaches the clients of all children.
    """

    def __init__(self, name: str, host: NamespaceHost, rule: NameRule) -> None:
        super().__init__(name)
        self.rule = rule
        self._children: dict[Namespace, None] = {}
        self.attach(host)

    def __repr__(self) -> str:
        return f"<ParentNamespace {self.name!r} {len(self._children)} children>"

    @property
    def children(self) -> tuple[Namespace, ...]:
        """The namespaces made by this one that are there now, in the order of their making."""
        return tuple(self._children)

    def _make_adapter(self) -> Adapter:
        return _ParentAdapter(self)

    # --- for the floor --------------------------------------------------------------------------

    def fits(self, name: str) -> bool:
        """Whether the pattern, if it is one, matches anywhere in ``name``."""
        # Python's `$` matches before a line feed at the end as well, JavaScript's does not.
        return isinstance(self.rule, re.Pattern) and name[-1:] != "\n" and bool(self.rule.search(name))

    async def takes(self, name: str, auth: dict[str, Any]) -> bool:
        """Whether the pattern or the function says yes; one that fails says no."""
        if isinstance(self.rule, re.Pattern):
            return self.fits(name)
        try:
            answer = self.rule(name, auth)
            return bool(await answer if inspect.isawaitable(answer) else answer)
        except ConnectionRefused:
            return False
        except Exception:
            log.exception("the function of %s failed; it does not take namespace %.100r", self.name, name)
            return False

    def make_child(self, name: str) -> Namespace:
        """A child that is in no list of the server yet."""
        child = Namespace(name)
        child.attach(self._host)
        child.inherit(self)
        self._children[child] = None
        return child

    def drop(self, child: Namespace) -> None:
        """The child has ended."""
        self._children.pop(child, None)


class _ParentAdapter(MemoryAdapter):
    """The adapter of a parent: it has no clients, and hands to its children what reaches theirs.

    What would have to gather answers is refused: a child that is not here may be on another node.
    """

    def __init__(self, parent: ParentNamespace) -> None:
        super().__init__(parent)
        self._parent = parent

    def broadcast(self, packet: Packet, target: Target) -> Awaitable[None]:
        """Send an event to all that ``target`` means in each child."""
        return _Each(
            [
                Sent(
                    child,
                    target,
                    child.adapter.broadcast(Packet(packet.type, child.name, packet.data), target),
                )
                for child in self._parent.children
            ]
        )

    def add_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None]:
        """Make the sockets that ``target`` means in each child join rooms."""
        return self._for_each(lambda adapter: adapter.add_sockets(target, rooms))

    def del_sockets(self, target: Target, rooms: Sequence[Room]) -> Awaitable[None]:
        """Make the sockets that ``target`` means in each child leave rooms."""
        return self._for_each(lambda adapter: adapter.del_sockets(target, rooms))

    def disconnect_sockets(self, target: Target, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that ``target`` means in each child."""
        return self._for_each(lambda adapter: adapter.disconnect_sockets(target, close))

    def _for_each(self, act: Callable[[Adapter], Awaitable[None] | None]) -> Awaitable[None]:
        return _Each([published(act(child.adapter)) for child in self._parent.children])

    async def broadcast_with_ack(self, packet: Packet, target: Target, timeout: float | None) -> NoReturn:  # noqa: ARG002
        """Refused."""
        raise self._unsupported("emit_with_ack")

    async def fetch_sockets(self, target: Target) -> NoReturn:  # noqa: ARG002
        """Refused, as by the official server."""
        raise self._unsupported("fetch_sockets")

    def server_side_emit(self, args: Sequence[Any]) -> NoReturn:  # noqa: ARG002
        """Refused."""
        raise self._unsupported("server_side_emit")

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout: float | None) -> NoReturn:  # noqa: ARG002
        """Refused."""
        raise self._unsupported("server_side_emit_with_ack")

    def _unsupported(self, verb: str) -> UsageError:
        return UsageError(
            f"{verb}() on parent namespace {self._parent.name}: expected one namespace; "
            "call it on each of parent.children, or on io.of(name)"
        )


class _Each:
    """Await it to wait for all of them."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Awaitable[None]]) -> None:
        self._parts = parts

    def __await__(self) -> Generator[Any, None, None]:
        for part in self._parts:
            yield from part.__await__()


class Parents:
    """The parents of one server, in the order in which they are asked about a name.

    Args:
        host: what the children need of the server.
        namespaces: the server's namespaces by name, the main one among them; children go in and out.
        cleanup: whether a child ends when its last client has gone.
    """

    def __init__(self, host: NamespaceHost, namespaces: dict[str, Namespace], cleanup: bool) -> None:
        self._host = host
        self._namespaces = namespaces
        self._cleanup = cleanup
        self._parents: list[ParentNamespace] = []
        self._closing: set[asyncio.Task[None]] = set()
        """Adapters of ended children, as long as they close."""

    def add(self, rule: NameRule) -> ParentNamespace:
        """A new parent, asked after those that are there.

        Raises:
            UsageError: ``rule`` is neither a pattern of text nor a function.
        """
        is_pattern = isinstance(rule, re.Pattern) and isinstance(rule.pattern, str)
        if not is_pattern and (not callable(rule) or isinstance(rule, type)):
            raise UsageError(
                "of(): expected a name, a compiled pattern of str, or a function (name, auth) -> bool, or a "
                f"namespace, as in io.of(Chat('/chat')); got {rule!r}"
            )
        parent = ParentNamespace(f"/_{len(self._parents)}", self._host, rule)
        self._parents.append(parent)
        return parent

    def release(self, child: Namespace) -> None:
        """Another namespace has taken the child's place."""
        for parent in self._parents:
            parent.drop(child)

    def adopt(self, name: str) -> Namespace | None:
        """A new child of the first parent whose pattern fits; functions, which want a client's auth, are not asked."""
        parent = next((each for each in self._parents if each.fits(name)), None)
        return None if parent is None else self._make_child(parent, name)

    def connect(self, connection: Connection, name: str, auth: dict[str, Any]) -> None:
        """A client asks for a namespace that is not there: make it if a parent takes the name, or refuse."""
        if len(name) > connection.session.options.limits.max_namespace_length:
            self._refuse(connection, name)
            return
        connection.begin_joining(name)
        found = partial(self._found, connection, name, auth)
        try:
            task, parent = start(self._search(name, auth))
        except asyncio.CancelledError:  # a function awaited what somebody else has cancelled
            task, parent = None, None
        if task is None:
            found(parent)
        else:
            task.add_done_callback(lambda done: found(_result(done)))

    async def _search(self, name: str, auth: dict[str, Any]) -> ParentNamespace | None:
        for parent in self._parents:
            if await parent.takes(name, auth):
                return parent
        return None

    def _found(
        self, connection: Connection, name: str, auth: dict[str, Any], parent: ParentNamespace | None
    ) -> None:
        connection.end_joining(name)
        if not connection.is_open():
            return
        if parent is None:
            self._refuse(connection, name)
            return
        # Another client, or io.of(), may have made it while a function was awaited.
        child = self._namespaces.get(name) or self._make_child(parent, name)
        if connection.is_open():
            child.connect(connection, auth)
        else:  # closed by a `new_namespace` listener
            child.check_vacancy()

    def _refuse(self, connection: Connection, name: str) -> None:
        parser, refusal = self._host.parser, {"message": "Invalid namespace"}
        connection.session.send(parser.encode_control(CONNECT_ERROR, parser.namespace_prefix(name), refusal))

    def _make_child(self, parent: ParentNamespace, name: str) -> Namespace:
        child = self._namespaces[name] = parent.make_child(name)
        if self._cleanup:
            child.when_vacant = partial(self._end, parent, child)
        self._namespaces["/"].announce("new_namespace", child)
        return child

    def _end(self, parent: ParentNamespace, child: Namespace) -> None:
        """The last client of a child has gone."""
        parent.drop(child)
        del self._namespaces[child.name]
        task, _ = start(_close_adapter(child))
        if task is not None:
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def settle(self) -> None:
        """Wait for the adapters that are closing."""
        await asyncio.gather(*self._closing)


def _result(task: asyncio.Task[ParentNamespace | None]) -> ParentNamespace | None:
    """What the search has found; nothing, if it was cancelled."""
    return None if task.cancelled() or task.exception() is not None else task.result()


async def _close_adapter(child: Namespace) -> None:
    try:
        await child.adapter.close()
    except Exception:
        log.exception("the adapter of namespace %.100r did not close", child.name)
