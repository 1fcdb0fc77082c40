"""``socketeer connect``: a client to talk by, with a person at a terminal or with a script's lines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import IO, Final, cast

from rich.console import Console

from socketeer.cli.conversation import Conversation
from socketeer.cli.dialing import Dial, slow
from socketeer.cli.lines import lines
from socketeer.cli.screen import PlainScreen, Screen
from socketeer.cli.values import escaped
from socketeer.client.client import Client
from socketeer.errors import ConnectionRefused, TransportError

#: Bytes of one message, at most. What is cut is kept to be shown, so this is also a bound on memory.
MAX_MESSAGE: Final = 10_000_000


def connect(dial: Dial) -> int:
    """Talk until the end of the input, Ctrl-D or Ctrl-C; the exit code.

    Raises:
        Trouble: an option is wrong; or, without a terminal, the server does not let us in.
    """
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return asyncio.run(_with_a_person(dial))
        return asyncio.run(_with_a_script(dial))
    except KeyboardInterrupt:
        return 0


# --- a person ---------------------------------------------------------------------------------------


class _Below:
    """What the prompt knows of the conversation, which writes above it."""

    conversation: Conversation

    def __init__(self, target: str) -> None:
        self._target = target

    @property
    def names(self) -> list[str]:
        return list(self.conversation.names)

    @property
    def namespaces(self) -> list[str]:
        return self.conversation.namespaces

    @property
    def nsp(self) -> str:
        return escaped(self.conversation.socket.nsp)

    def state(self) -> str:
        return f"{self._target}  {self.conversation.state()}"


async def _with_a_person(dial: Dial) -> int:
    """The connection is made again whenever it breaks, also the first one: the person decides when to end."""
    from socketeer.cli.prompt import Prompt

    client = dial.client(max_message_size=MAX_MESSAGE)
    below = _Below(dial.target)
    prompt = Prompt(below)
    screen = Screen(Console(file=cast(IO[str], prompt), highlight=False))
    conversation = below.conversation = Conversation(client, screen, dial)
    screen.note(f"connecting to {dial.target}; /help says what can be typed, Ctrl-D ends it", "dim")
    client.connect()
    try:
        async with contextlib.aclosing(prompt.lines()) as typed:
            async for line in typed:
                asked = conversation.begin(line)
                await asyncio.sleep(0)  # most are through at once; what waits leaves the prompt free
                if asked.done() and not asked.result():
                    break
    finally:
        await client.close()
    return 0


# --- a script ---------------------------------------------------------------------------------------


async def _with_a_script(dial: Dial) -> int:
    """A connection that breaks, or is refused, ends it: what follows would go nowhere."""
    client = dial.client(max_message_size=MAX_MESSAGE, reconnection=False)
    screen = PlainScreen(
        Console(highlight=False, color_system=None), Console(stderr=True, highlight=False, color_system=None)
    )
    conversation = Conversation(client, screen, dial)
    try:
        if await _connected(client, dial):
            await _talk(conversation)
    finally:
        await client.close()
    return conversation.status


async def _connected(client: Client, dial: Dial) -> bool:
    """Whether there is a connection. Why there is none, the conversation says."""
    try:
        async with asyncio.timeout(dial.timeout):
            await client.connect()
    except TimeoutError:
        raise slow(dial, client.nsp) from None
    except (TransportError, ConnectionRefused):
        return False
    return True


async def _talk(conversation: Conversation) -> None:
    talk = asyncio.ensure_future(_read(conversation))
    try:
        await asyncio.wait((talk, conversation.broken), return_when=asyncio.FIRST_COMPLETED)
        if talk.done():
            talk.result()
    finally:
        talk.cancel()


async def _read(conversation: Conversation) -> None:
    async for line in lines():
        if not await conversation.run(line):
            break
    await conversation.settled()
