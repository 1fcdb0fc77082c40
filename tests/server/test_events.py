"""Handlers for all sockets of a namespace: functions, and methods of a class."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, assert_type

import pytest
from pydantic import BaseModel

from socketeer import (
    Ack,
    ConnectionRefused,
    InvalidPayload,
    Namespace,
    ReservedEventError,
    Socket,
    UsageError,
    event,
)
from socketeer.messaging.handlers import NO_HANDLERS
from socketeer.server.server import BaseServer
from tests.support.inprocess import Client, Lobby, soon

# --- functions ----------------------------------------------------------------------------------


async def test_the_socket_comes_first() -> None:
    lobby = Lobby()
    seen: list[Any] = []

    @lobby.io.event
    def ping(socket: Socket, *args: Any) -> str:
        seen.append((socket, args))
        return "pong"

    @lobby.io.event("chat message")
    async def chat(socket: Socket, text: str) -> str:
        socket.broadcast.emit("chat message", text)
        return "delivered"

    one, first = lobby.connected()
    other, second = lobby.connected()
    assert one.asks('420["ping",1,2]', '42["ping"]') == ['430["pong"]']
    assert other.asks('42["ping"]', '421["chat message","hi"]') == ['431["delivered"]']
    assert one.heard() == ['42["chat message","hi"]']
    assert seen == [(first, (1, 2)), (first, ()), (second, ())]
    assert_type(ping(first), str)
    assert_type(await chat(first, "x"), str)


async def test_every_form_of_it() -> None:
    lobby = Lobby()
    chat = lobby.io.of("/chat")

    def handler(socket: Socket) -> None: ...

    assert chat.event(handler) is handler
    assert chat.event("two words")(handler) is handler
    assert chat.event("called", handler) is handler
    assert chat.event_names() == ["handler", "two words", "called"]
    chat.off("called", handler)
    chat.off("two words")
    assert chat.event_names() == ["handler"]
    assert lobby.io.event_names() == []


async def test_sockets_have_no_table_of_their_own() -> None:
    lobby = Lobby()
    lobby.io.event("x", lambda socket: "x")
    client, socket = lobby.connected()
    assert client.asks('420["x"]') == ['430["x"]']
    assert socket._handlers is NO_HANDLERS
    assert socket._watch is None


async def test_those_who_are_there_already_are_served_too() -> None:
    lobby = Lobby()
    client, _ = lobby.connected()
    assert client.asks('420["x"]') == []
    lobby.io.event("x", lambda: "now")
    assert client.asks('421["x"]') == ['431["now"]']
    lobby.io.off("x")
    assert client.asks('422["x"]') == []


async def test_other_namespaces_are_not_concerned() -> None:
    lobby = Lobby()
    lobby.io.event("x", lambda: "main")
    client, _ = lobby.connected()
    chat = client.connect("/chat")
    assert client.asks('42/chat,0["x"]') == []
    chat.on("x", lambda: "chat")
    assert client.asks('42/chat,1["x"]', '421["x"]') == ['43/chat,1["chat"]', '431["main"]']


class Message(BaseModel):
    text: str


async def test_annotations_check_the_payload_but_not_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()

    @lobby.io.event
    def say(socket: int, message: Message, count: int = 1) -> str:
        whose.append(socket)
        return message.text * count

    whose: list[Any] = []
    client, socket = lobby.connected()
    told: list[tuple[Any, ...]] = []
    lobby.io.on("error", lambda *args: told.append(args))
    assert client.asks('420["say",{"text":"a"},2]', '421["say",{"text":"b"}]') == ['430["aa"]', '431["b"]']
    assert whose == [socket, socket]
    assert client.asks('422["say",{}]', '423["say",{"text":"c"},"two"]', '424["say"]') == []
    assert [type(error) for error, _, _ in told] == [InvalidPayload] * 3
    assert str(told[-1][0]) == "expected at least 1 arguments, got 0"
    assert {(whose, name) for _, whose, name in told} == {(socket, "say")}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (lambda: "no socket", '["no socket"]'),
        (lambda socket: socket.nsp.name, '["/"]'),
        (lambda socket, one: one, "[1]"),
        (lambda socket, one, two=2: (one, two), "[1,2]"),
        (lambda *args: len(args), "[4]"),
    ],
)
async def test_fewer_arguments(handler: Callable[..., Any], answer: str) -> None:
    lobby = Lobby()
    lobby.io.event("x", handler)
    client, _ = lobby.connected()
    assert client.asks('420["x",1,2,3]') == [f"430{answer}"]


async def test_acknowledging_by_hand() -> None:
    lobby = Lobby()

    @lobby.io.event
    def now(socket: Socket, ack: Ack, value: int) -> str:
        ack(value, "first")
        ack("again")
        return "not this"

    client, _ = lobby.connected()
    assert client.asks('420["now",7]') == ['430[7,"first"]']


async def test_async_ones_start_in_order() -> None:
    lobby = Lobby()
    steps: list[Any] = []
    go = asyncio.Event()

    @lobby.io.event
    async def x(socket: Socket, number: int) -> int:
        steps.append(number)
        await go.wait()
        return number

    client, _ = lobby.connected()
    client.say('420["x",1]', '421["x",2]')
    assert steps == [1, 2]
    go.set()
    await client.hears("430[1]", "431[2]")


async def test_before_the_sockets_own() -> None:
    """They share the acknowledgement: the first result that there is."""
    lobby = Lobby()
    steps: list[str] = []

    @lobby.io.event
    def x(socket: Socket, answer: str | None) -> str | None:
        steps.append("namespace")
        return answer

    client, socket = lobby.connected()

    @socket.on("x")
    def own(answer: str | None) -> str:
        steps.append("own")
        return "own"

    assert client.asks('420["x","namespace"]') == ['430["namespace"]']
    assert client.asks('421["x",null]') == ['431["own"]']
    assert client.asks('42["x",null]') == []
    assert steps == ["namespace", "own"] * 3


async def test_after_catch_alls_and_middlewares() -> None:
    lobby = Lobby()
    steps: list[str] = []
    lobby.io.event("x", lambda: steps.append("handler"))
    client, socket = lobby.connected()
    socket.on_any(lambda event: steps.append("any"))

    @socket.use
    def middleware(args: list[Any]) -> None:
        steps.append("middleware")
        if args[1:]:
            raise ConnectionRefused("no")

    assert client.asks('420["x"]', '421["x","refused"]') == ["430[]"]
    assert steps == ["any", "middleware", "handler", "any", "middleware"]


async def test_one_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    told: list[tuple[str, tuple[Any, ...]]] = []
    lobby.io.event("error", lambda *args: told.append(("event", args)))
    lobby.io.on("error", lambda *args: told.append(("on", args)))
    raised = ZeroDivisionError()

    @lobby.io.event
    def x(socket: Socket) -> None:
        raise raised

    client, socket = lobby.connected()
    socket.on("error", lambda *args: told.append(("own", args)))
    socket.on("x", lambda: "the others go on")
    assert client.asks('420["x"]') == ['430["the others go on"]']
    assert told == [("event", (socket, raised)), ("own", (raised,)), ("on", (raised, socket, "x"))]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_an_error_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    lobby = Lobby()
    lobby.io.event("error", lambda: 1 / 0)
    lobby.io.event("x", lambda: 1 / 0)
    client, socket = lobby.connected()
    client.say('42["x"]', '42["error","forged"]')
    assert len(caplog.records) == 2
    assert socket.connected


async def test_the_whole_life_of_a_socket() -> None:
    lobby = Lobby()
    steps: list[Any] = []

    @lobby.io.event
    def connect(socket: Socket) -> None:
        steps.append(("connect", socket))

    @lobby.io.event
    async def connection(socket: Socket) -> None:
        steps.append(("connection", socket))
        socket.on("disconnect", lambda: steps.append("own"))

    @lobby.io.event
    def disconnecting(socket: Socket, reason: str) -> None:
        socket.join("too late")
        steps.append(("disconnecting", reason, len(socket.rooms), socket.connected))

    @lobby.io.event
    def disconnect(socket: Socket, reason: str, description: str | None) -> None:
        steps.append(("disconnect", reason, description, socket.rooms, socket.connected))

    client, socket = lobby.connected()
    client.vanish("transport close", "connection lost")
    assert steps == [
        ("connect", socket),
        ("connection", socket),
        ("disconnecting", "transport close", 2, True),
        ("disconnect", "transport close", "connection lost", set(), False),
        "own",
    ]


async def test_annotations_of_our_own_events_check_nothing() -> None:
    lobby = Lobby()
    seen: list[Any] = []

    @lobby.io.event
    def disconnect(socket: Socket, reason: int) -> None:
        seen.append(reason)

    client, _ = lobby.connected()
    client.vanish("transport close")
    assert seen == ["transport close"]


async def test_events_of_our_own_cannot_be_forged() -> None:
    lobby = Lobby()
    seen: list[Any] = []
    for name in ("connection", "error", "new_namespace"):
        lobby.io.event(name, lambda *args: seen.append(args))
    client, socket = lobby.connected()
    seen.clear()
    client.say('42["connection","forged"]', '42["error","forged"]')
    assert seen == []
    client.say('42["new_namespace","is no event of a socket"]')
    assert seen == [(socket, "is no event of a socket")]


async def test_local_events_of_the_namespace_are_not_a_clients() -> None:
    """`on` is for the namespace, `event` for its sockets: one name in both places is two things."""
    lobby = Lobby()
    seen: list[str] = []
    lobby.io.on("x", lambda: seen.append("on"))
    lobby.io.event("x", lambda: seen.append("event"))
    client, _ = lobby.connected()
    client.say('42["x"]')
    assert seen == ["event"]
    lobby.io.sockets.announce("x")
    assert seen == ["event", "on"]
    assert lobby.io.listener_count("x") == 2
    assert lobby.io.event_names() == ["x"]


@pytest.mark.parametrize("name", ["connect_error", "newListener", "removeListener"])
def test_names_that_no_client_can_send(name: str) -> None:
    io = BaseServer()
    with pytest.raises(ReservedEventError, match=name):
        io.event(name)
    with pytest.raises(ReservedEventError, match=name):
        io.event(name, lambda: None)
    assert io.event_names() == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("disconected", "disconnect"),
        ("disconnected", "disconnect"),
        ("conection", "connection"),
        ("connected", "connect"),
        ("Connection", "connection"),
        ("errors", "error"),
    ],
)
def test_a_misspelt_name(name: str, meant: str) -> None:
    io = BaseServer()

    def handler(socket: Socket) -> None: ...

    handler.__name__ = name
    with pytest.raises(UsageError, match=rf"'{name}': expected '{meant}'\?"):
        io.event(handler)
    assert io.event_names() == []
    io.event(name)(handler)
    assert io.event_names() == [name], "a name that is given is taken as it is"


def test_names_that_are_only_a_little_like_ours() -> None:
    io = BaseServer()
    for name in ("connect_to_room", "message", "reaction", "selection", "mirror"):

        def handler(socket: Socket) -> None: ...

        handler.__name__ = name
        io.event(handler)
    assert len(io.event_names()) == 5


async def test_children_of_a_dynamic_namespace_have_their_parents_handlers() -> None:
    lobby = Lobby()
    parent = lobby.io.of(re.compile(r"^/room-\d+$"))
    parent.event("x", lambda socket: socket.nsp.name)
    client, _ = lobby.connected("/room-1")
    parent.event("y", lambda: "late")
    later, _ = lobby.connected("/room-2")
    assert client.asks('42/room-1,0["x"]', '42/room-1,1["y"]') == ['43/room-1,0["/room-1"]']
    assert later.asks('42/room-2,0["x"]', '42/room-2,1["y"]') == [
        '43/room-2,0["/room-2"]',
        '43/room-2,1["late"]',
    ]
    lobby.io.of("/room-1").off("x")
    assert parent.has_listeners("x")


async def test_a_class_in_the_place_of_an_unused_child() -> None:
    lobby = Lobby()
    parent = lobby.io.of(re.compile("^/room-"))
    lobby.io.of("/room-1")
    mine = lobby.io.of(Chat("/room-1"))
    assert parent.children == ()
    assert lobby.io.of("/room-1") is mine
    parent.emit("x")


# --- a class ------------------------------------------------------------------------------------


class Chat(Namespace):
    """Everything in one place."""

    def __init__(self, name: str, greeting: str = "hello") -> None:
        super().__init__(name)
        self.greeting = greeting
        self.steps: list[Any] = []
        self.use(self.check)

    def check(self, socket: Socket) -> None:
        if socket.handshake.auth.get("banned"):
            raise ConnectionRefused("banned")

    def on_connect(self, socket: Socket) -> None:
        self.steps.append("connect")

    async def on_connection(self, socket: Socket) -> None:
        self.steps.append("connection")
        socket.emit(self.greeting)

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.steps.append(("disconnect", reason))

    async def on_typing(self, socket: Socket, who: str) -> str:
        return f"{who} types"

    @event("chat message")
    @event("chat")
    def say(self, socket: Socket, text: str, ack: Ack) -> None:
        self.emit("chat message", text)
        ack("delivered")

    @staticmethod
    @event
    def ping(socket: Socket) -> str:
        return "pong"

    @classmethod
    def on_whose(cls, socket: Socket) -> str:
        return cls.__name__

    def helper(self) -> str:
        return self.greeting


async def test_a_class() -> None:
    lobby = Lobby()
    chat = lobby.io.of(Chat("/chat", "welcome"))
    assert_type(chat, Chat)
    assert lobby.io.of("/chat") is chat
    client, socket = lobby.connected("/chat")
    other, _ = lobby.connected("/chat")
    assert client.heard() == other.heard() == ['42/chat,["welcome"]']
    assert client.asks('42/chat,0["typing","Ada"]', '42/chat,1["ping"]', '42/chat,2["whose"]') == [
        '43/chat,0["Ada types"]',
        '43/chat,1["pong"]',
        '43/chat,2["Chat"]',
    ]
    assert client.asks('42/chat,3["chat","hi"]') == [
        '42/chat,["chat message","hi"]',
        '43/chat,3["delivered"]',
    ]
    assert client.asks('42/chat,4["helper"]', '42/chat,5["on_typing","x"]', '42/chat,6["say","x"]') == []
    client.vanish()
    assert chat.steps == ["connect", "connection"] * 2 + [("disconnect", "transport close")]
    assert socket._handlers is NO_HANDLERS
    assert repr(chat) == "<Chat '/chat' 1 sockets>"
    assert_type(Chat.ping(socket), str)
    assert_type(await chat.on_typing(socket, "x"), str)


async def test_its_middlewares_refuse() -> None:
    lobby = Lobby()
    lobby.io.of(Chat("chat"))
    client = lobby.client()
    assert client.asks('40/chat,{"banned":true}') == ['44/chat,{"message":"banned"}']


async def test_several_of_one_class() -> None:
    lobby = Lobby()
    one, two = lobby.io.register_namespace(Chat("/one", "1")), lobby.io.register_namespace(Chat("/two", "2"))
    client = lobby.client()
    client.connect("/one")
    client.connect("/two")
    assert (one.steps, two.steps) == (["connect", "connection"], ["connect", "connection"])
    assert one is not two
    assert lobby.io.of("/two") is two


async def test_a_class_of_a_class() -> None:
    class Mixin:
        def on_extra(self, socket: Socket) -> str:
            return "mixed in"

    class Quiet(Mixin, Chat):
        def on_connection(self, socket: Socket) -> None:  # type: ignore[override]
            """Says nothing."""

        def say(self, socket: Socket, text: str, ack: Ack) -> None:
            ack("quiet")

    lobby = Lobby()
    lobby.io.of(Quiet("/chat"))
    client, _ = lobby.connected("/chat")
    assert client.heard() == []
    assert client.asks('42/chat,0["chat message","x"]', '42/chat,1["extra"]', '42/chat,2["ping"]') == [
        '43/chat,0["quiet"]',
        '43/chat,1["mixed in"]',
        '43/chat,2["pong"]',
    ]


async def test_in_the_place_of_the_main_namespace() -> None:
    lobby = Lobby()
    before = lobby.io.sockets
    main = lobby.io.register_namespace(Chat("/"))
    assert lobby.io.sockets is lobby.io.of("/") is main
    client, _ = lobby.connected()
    assert client.heard() == ['42["hello"]']
    lobby.io.on("connection", lambda socket: main.steps.append("another"))
    lobby.io.emit("x")
    assert client.heard() == ['42["x"]']
    lobby.connected()
    assert main.steps[-1] == "another"
    with pytest.raises(UsageError, match="belongs to no server"):
        before.emit("x")


async def test_new_namespace_is_told_of_it() -> None:
    lobby = Lobby()
    made: list[Namespace] = []
    lobby.io.on("new_namespace", made.append)
    chat = lobby.io.of(Chat("/chat"))
    lobby.io.of(chat)
    lobby.io.of("/chat")
    assert made == [chat]
    lobby.io.of("/replaced")
    lobby.io.of(Chat("/replaced"))
    assert [each.name for each in made] == ["/chat", "/replaced"]


async def test_a_name_that_is_in_use() -> None:
    lobby = Lobby()
    lobby.io.of("/on").on("connection", lambda: None)
    lobby.io.of("/event").event("x", lambda: None)
    lobby.io.of("/use").use(lambda socket: None)
    client, _ = lobby.connected("/clients")
    for name in ("/on", "/event", "/use", "/clients"):
        there = lobby.io.of(name)
        late = Chat(name)
        with pytest.raises(UsageError, match=f"there is a namespace '{name}'"):
            lobby.io.of(late)
        assert lobby.io.of(name) is there
        with pytest.raises(UsageError, match="belongs to no server"):
            late.emit("x")
    lobby.io.of("/clients").emit("still works")
    assert client.heard() == ['42/clients,["still works"]']


def test_used_before_it_is_attached() -> None:
    chat = Chat("/chat")
    for use in (lambda: chat.emit("x"), lambda: chat.to("room").emit("x"), lambda: chat.sockets_join("room")):
        with pytest.raises(UsageError, match=r"<Chat '/chat' 0 sockets> belongs to no server: io.of"):
            use()
    chat.on("connection", lambda: None)
    assert chat.has_listeners("connection")
    assert BaseServer().of(chat) is chat
    chat.emit("x")
    with pytest.raises(UsageError, match="belongs to a server already"):
        BaseServer().of(chat)


def test_what_is_no_namespace() -> None:
    class Forgetful(Namespace):
        def __init__(self) -> None:
            pass

    io = BaseServer()
    with pytest.raises(
        UsageError, match=r"Forgetful.__init__: expected it to call super\(\).__init__\(name\)"
    ):
        io.of(Forgetful())
    wrong: Any
    for wrong in (Chat, 7, None):
        with pytest.raises(UsageError, match=r"expected a name, .* or a namespace, as in io.of\(Chat"):
            io.of(wrong)


# --- told at definition -------------------------------------------------------------------------


def method(self: Any, socket: Socket) -> None: ...


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("on_connect_error", "Bad.on_connect_error: .*no client can send it"),
        ("on_newListener", "Bad.on_newListener: .*no client can send it"),
        ("on_conection", "Bad.on_conection: .*expected 'connection'"),
        ("on_disconnected", "Bad.on_disconnected: .*expected 'disconnect'"),
        ("on_", "Bad.on_: expected the name of an event"),
        ("on_any", "Bad.on_any: .*catch-alls belong to sockets"),
        ("on_server_side_emit", "the server needs Namespace.on_server_side_emit as it is"),
        ("connect", "Bad.connect: the server needs Namespace.connect as it is"),
        ("wheel", "the server needs Namespace.wheel as it is"),
        ("_welcome", "the server needs Namespace._welcome as it is"),
        ("connection", None),
        ("emit", None),
        ("on_message", None),
    ],
)
def test_the_name_of_a_method(name: str, error: str | None) -> None:
    if error is None:
        type("Good", (Namespace,), {name: method})
    else:
        with pytest.raises(UsageError, match=error):
            type("Bad", (Namespace,), {name: method})


def test_a_mark_with_a_name_that_no_client_can_send() -> None:
    with pytest.raises(ReservedEventError, match=r"Bad.handler: .*connect_error"):
        type("Bad", (Namespace,), {"handler": event("connect_error")(lambda self: None)})


@pytest.mark.parametrize("value", [3, None, property(lambda self: None)])
def test_a_handler_that_is_no_function(value: Any) -> None:
    with pytest.raises(UsageError, match=r"Bad.on_x: expected a method, got"):
        type("Bad", (Namespace,), {"on_x": value})


def test_marks_that_would_be_lost() -> None:
    wrong: Any
    for wrong in (staticmethod(method), classmethod(method), 3):
        with pytest.raises(UsageError, match=r"@event\('x'\): expected a function"):
            event("x")(wrong)


def test_a_parameter_that_can_never_be_given() -> None:
    class Bad(Namespace):
        def on_x(self, socket: Socket, *, option: int) -> None: ...

    with pytest.raises(UsageError, match="'option' can never be given"):
        Bad("/x")


async def test_disconnected_by_its_handler() -> None:
    lobby = Lobby()
    over = asyncio.Event()

    class Bouncer(Namespace):
        def on_connection(self, socket: Socket) -> None:
            socket.disconnect()

        def on_disconnect(self, socket: Socket, reason: str) -> None:
            assert reason == "server namespace disconnect"
            over.set()

    lobby.io.of(Bouncer("/door"))
    client: Client = lobby.client()
    client.say("40/door,")
    await soon(over)
    assert client.heard()[-1] == "41/door,"
