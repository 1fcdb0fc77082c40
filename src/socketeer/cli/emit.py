"""``socketeer emit``: one event from a script, and its acknowledgement."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Final

from socketeer.cli.dialing import (
    FAILED,
    NO_ACK,
    USAGE,
    Dial,
    read_arguments,
    refused,
    slow,
    unreachable,
)
from socketeer.cli.trouble import Trouble
from socketeer.cli.values import as_json, escaped, name
from socketeer.client.client import Client
from socketeer.errors import AckTimeout, ConnectionRefused, SocketDisconnected, TransportError, UsageError

#: Seconds between two attempts to connect, at most: `reconnection_delay_max`.
_LONGEST_WAIT: Final = 5.0


def emit(dial: Dial, event: str, words: Sequence[str], *, ack: bool, retries: int) -> None:
    """Connect, send the event, and with ``ack`` print what acknowledges it: each value on a line, as JSON.

    Raises:
        Trouble: it could not be done; its code says why.
    """
    args, hints = read_arguments(_from_stdin(words))
    for hint in hints:
        print(f"note: {escaped(hint)}", file=sys.stderr)
    client = dial.client(
        reconnection=retries > 0,
        reconnection_attempts=retries,
        retries=retries or None,
        ack_timeout=dial.timeout,
        # One event is through before an upgrade would be.
        upgrade=False,
    )
    values = asyncio.run(_send(client, dial, event, args, retries, wait=ack or retries > 0))
    if ack:
        print(*(as_json(each) for each in values), sep="\n")


def _from_stdin(words: Sequence[str]) -> list[str]:
    """The arguments, with what ``-`` stands for: all that comes on standard input."""
    if words.count("-") > 1:
        raise Trouble(
            "standard input can be one argument only, and - was given twice",
            "The string itself is '\"-\"'.",
            code=USAGE,
        )
    try:
        return [sys.stdin.buffer.read().decode().rstrip("\r\n") if each == "-" else each for each in words]
    except UnicodeDecodeError:
        raise Trouble(
            "what came on standard input is no UTF-8", "Bytes are sent from a file: @FILE.", code=USAGE
        ) from None


async def _send(
    client: Client, dial: Dial, event: str, args: list[Any], retries: int, *, wait: bool
) -> tuple[Any, ...]:
    try:
        # An attempt has its own time-out; this one is for a server that is slow to let us in.
        async with asyncio.timeout(dial.timeout * (retries + 1) + _LONGEST_WAIT * retries):
            await client.connect()
        if not wait:
            await client.emit(event, *args)
            return ()
        return await _acknowledged(client, event, args)
    except TransportError as error:
        raise unreachable(error, dial) from None
    except ConnectionRefused as error:
        raise refused(error, client.nsp) from None
    except AckTimeout:
        raise Trouble(
            f"no acknowledgement of {name(event)} within {dial.timeout:g} s",
            "Does the server have a handler for it, which acknowledges? --timeout gives it more time.",
            code=NO_ACK,
        ) from None
    except TimeoutError:
        raise slow(dial, client.nsp) from None
    except SocketDisconnected as error:
        raise Trouble(f"{escaped(str(error))}: {name(event)} was not acknowledged", code=FAILED) from None
    except (UsageError, TypeError) as error:
        raise Trouble(f"{name(event)} cannot be sent: {escaped(str(error))}", code=USAGE) from None
    finally:
        await client.close()


async def _acknowledged(client: Client, event: str, args: list[Any]) -> tuple[Any, ...]:
    """What acknowledges the event. That the server has ended the connection for good ends the waiting, too."""
    asked = asyncio.ensure_future(client.emit_with_ack(event, *args))
    over = asyncio.ensure_future(client.wait())
    try:
        await asyncio.wait((asked, over), return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise SocketDisconnected(f"the server has disconnected us ({over.result()})")
        value = asked.result()
        return value if isinstance(value, tuple) else (value,)
    finally:
        asked.cancel()
        over.cancel()
