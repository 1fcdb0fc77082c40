"""Questions to other nodes: who is waited for, and what has been answered."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from socketeer.adapters.messages import SOMEBODY
from socketeer.engine.timers import Timer
from socketeer.protocol.packet import Packet
from socketeer.server.adapter import Member
from socketeer.server.replies import Replies


class Inquiry(Replies):
    """What other nodes, and clients on any node, answer to one question.

    Nodes may answer before it is known how many there are. They are waited for by their ids where those are
    known (heartbeats), else by their number.
    """

    __slots__ = ("_early", "_known", "_nodes", "_number", "_remote", "_spoken")

    def __init__(self) -> None:
        super().__init__()
        self.expect()  # until it is known which nodes there are
        self._early: list[str] | None = []
        self._known: frozenset[str] = frozenset()
        """Those that were waited for at first, by their ids."""
        self._nodes: set[str] = set()
        """Those that have not said all that they have to say, by their ids."""
        self._number = 0
        """Or how many of them."""
        self._spoken: set[str] = set()
        """Those that have said all that they have to say, as far as the format names them."""
        self._remote = 0
        """Clients of other nodes that have not answered."""

    def expect_nodes(self, nodes: int | Collection[str]) -> None:
        """Wait for these other nodes; called once."""
        if isinstance(nodes, int):
            self._number = nodes
            count = nodes
        else:
            self._known = frozenset(nodes)
            self._nodes = set(nodes)
            count = len(self._nodes)
        for _ in range(count):
            self.expect()
        early, self._early = self._early, None
        for uid in early or ():
            self.node_done(uid)
        self._one_less()

    def node_done(self, uid: str) -> None:
        """A node has said how many of its clients are asked, or has answered for itself; or it is gone."""
        if self._early is not None:
            self._early.append(uid)
        elif uid in self._nodes:
            self._nodes.remove(uid)
            self._one_less()
        elif self._number > 0:
            self._number -= 1
            self._one_less()

    def node_asks(self, uid: str, clients: int) -> None:
        """A node has asked so many of its clients."""
        if self._speaks_again(uid):
            return
        self._remote += clients
        self._missing += clients
        self.node_done(uid)

    def client_answers(self, value: Any) -> None:
        """A client of another node has acknowledged."""
        if self._remote > 0:
            self._remote -= 1
            self.answered([value])

    def node_answers(self, uid: str, values: Collection[Any]) -> None:
        """A node has answered for itself."""
        if self._speaks_again(uid):
            return
        self.responses.extend(values)
        self.node_done(uid)

    def _speaks_again(self, uid: str) -> bool:
        """Whether all is said that a node has to say; it has, from now on, unless the format does not name it."""
        if uid in self._spoken or (uid in self._known and uid not in self._nodes):
            return True
        if self._early is None and not self._known and not self._number:
            return True  # as many as there are have spoken
        if uid != SOMEBODY:
            self._spoken.add(uid)
        return False


class Asked:
    """Clients of this node whose acknowledgements another node waits for."""

    __slots__ = ("_tell", "missing", "packet", "request_id", "sockets", "timer")

    def __init__(
        self, request_id: str, packet: Packet, tell: Callable[[str, Any], None], end: Callable[[Asked], None]
    ) -> None:
        self.request_id = request_id
        self.packet = packet
        self.sockets: list[Member] = []
        self.missing = 0
        self.timer = Timer(partial(end, self))
        self._tell = tell

    def expect(self) -> None:
        """One more client is asked."""
        self.missing += 1

    def answered(self, args: list[Any]) -> None:
        """A client has acknowledged."""
        self._tell(self.request_id, args[0] if args else None)
        self.gone()

    def gone(self) -> None:
        """A client will not answer; who asked waits for it until the time-out, as with official nodes."""
        self.missing -= 1
        if self.missing == 0 and self.sockets:
            self.timer.callback()
