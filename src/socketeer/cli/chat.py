"""The demo's chat: what a small Socket.IO server looks like, and who is told of each thing it sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

from socketeer.engine.request import RequestRefused
from socketeer.engine.session import Session
from socketeer.integrations.hosting import Server
from socketeer.server.namespace import Namespace
from socketeer.server.socket import Socket

#: Who comes without a name gets one.
NAMES: Final = (
    *("Athos", "Porthos", "Aramis", "d'Artagnan", "Constance", "Planchet", "Milady", "Grimaud"),
    *("Mousqueton", "Bazin", "Rochefort", "Kitty", "Felton", "Tréville", "Bonacieux", "Richelieu"),
)
#: A second chat beside the page's, where the two clients of the terminal talk and disturb nobody.
TERMINAL: Final = "/terminal"
MAX_NAME: Final = 24
MAX_TEXT: Final = 500

#: Told of each thing that the server sees: who, what they did, and the payload or detail.
Tell = Callable[[str, str, str], None]


class Chat:
    """The server of the demo; ``tell`` is called with everything that happens, in order."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.io = Server(max_http_buffer_size=16_384)
        self.io.engine.on("connection", self._opened)
        self.io.engine.on("connection_error", self._refused)
        self.io.on("connection", self._connected)
        self.io.of(TERMINAL).on("connection", self._connected)

    # --- below: the connection and its transport --------------------------------------------------

    def _opened(self, session: Session) -> None:
        agent = _short_agent(session.request.headers.get("user-agent", ""))
        self._tell(
            session.id, "opened", f"over {session.transport.name}, from {session.remote_address}{agent}"
        )
        session.on("upgrade", lambda transport: self._tell(session.id, "upgraded", f"to {transport.name}"))
        session.on("close", lambda reason, _: self._tell(session.id, "closed", reason))

    def _refused(self, error: RequestRefused) -> None:
        address = "?" if error.request is None else error.request.address
        self._tell(address, "refused", f"{error.message} (code {error.code})")

    # --- above: people ----------------------------------------------------------------------------

    def _connected(self, socket: Socket) -> None:
        name = socket.data["name"] = _free_name(self._place(socket), socket.handshake.auth.get("name"))
        self._tell(name, "connected", f"socket.id {socket.id}")
        socket.emit("welcome", name, [_person(each) for each in self._place(socket).sockets.values()])
        socket.broadcast.emit("joined", _person(socket))
        socket.conn.on("upgrade", lambda transport: self._moved(socket, transport.name))
        socket.on("chat message", partial(self._said, socket))
        socket.on("typing", partial(self._typing, socket))
        socket.on("rename", partial(self._renamed, socket))
        socket.on("disconnect", partial(self._left, socket))

    def _said(self, socket: Socket, text: str) -> int:
        """Pass it on; the acknowledgement is the number of people that it goes to."""
        text = text.strip()[:MAX_TEXT]
        others = len(self._place(socket).sockets) - 1
        name = socket.data["name"]
        self._tell(name, "chat message", f"{text!r}, to {others} other{'s' if others != 1 else ''}")
        if text:
            at = int(time.time() * 1000)
            socket.broadcast.emit("chat message", {"id": socket.id, "name": name, "text": text, "at": at})
        return others

    def _typing(self, socket: Socket, typing: bool) -> None:
        self._tell(socket.data["name"], "typing", "begins" if typing else "stops")
        socket.broadcast.emit("typing", socket.id, typing)

    def _renamed(self, socket: Socket, name: str) -> str:
        """Take another name; the acknowledgement is what it has become."""
        before = socket.data.pop("name")
        after = socket.data["name"] = _free_name(self._place(socket), name)
        if after != before:
            self._tell(before, "renamed", f"to {after}")
            socket.broadcast.emit("renamed", socket.id, after)
        return after

    def _moved(self, socket: Socket, transport: str) -> None:
        if socket.connected:
            self._place(socket).emit("moved", socket.id, transport)

    def _left(self, socket: Socket, reason: str) -> None:
        self._tell(socket.data["name"], "disconnected", reason)
        self._place(socket).emit("left", socket.id, socket.data["name"], reason)

    def _place(self, socket: Socket) -> Namespace:
        """The chat that this one is in."""
        return self.io.of(socket.nsp.name)


def _free_name(nsp: Namespace, wished: object) -> str:
    """The name that was asked for, or one of ours, with a number behind it where it is taken."""
    taken = {each.data.get("name") for each in nsp.sockets.values()}
    wish = " ".join(wished.split())[:MAX_NAME] if isinstance(wished, str) else ""
    if not wish:
        wish = next((name for name in NAMES if name not in taken), NAMES[0])
    if wish not in taken:
        return wish
    return next(name for number in count(2) if (name := f"{wish} {number}") not in taken)


def _person(socket: Socket) -> dict[str, Any]:
    return {"id": socket.id, "name": socket.data["name"], "transport": socket.conn.transport.name}


def _short_agent(agent: str) -> str:
    """The one word of a User-Agent that tells the most."""
    for name in ("Firefox", "Edg", "Chrome", "Safari"):
        if f"{name}/" in agent:
            return f", {'Edge' if name == 'Edg' else name}"
    first = agent.partition("/")[0].strip()
    return f", {first[:30]}" if first else ""
