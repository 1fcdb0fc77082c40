"""What a person types, or a script says: events with JSON arguments, and commands that begin with a slash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from socketeer.cli.values import escaped, quoted

#: Bytes of a file that is sent as one argument, at most: a server takes a megabyte unless told otherwise.
MAX_FILE: Final = 1_000_000


class Unclear(Exception):
    """A line or an argument that means nothing; the message says what is wrong with it."""


class Verb(Enum):
    """A command; its value is what follows the slash."""

    ACK = "ack"
    OF = "of"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    PING = "ping"
    SHOW = "show"
    WAIT = "wait"
    HELP = "help"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Order:
    """A command with what follows it."""

    verb: Verb
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Emit:
    """An event to send."""

    event: str
    args: tuple[Any, ...] = ()
    ack: bool = False
    """Whether an acknowledgement is asked for."""
    hints: tuple[str, ...] = ()
    """What may not have been meant."""


def parse(line: str) -> Emit | Order | None:
    """What a line means; None for nothing.

    Raises:
        Unclear: it means nothing we know.
    """
    line = line.strip()
    if not line:
        return None
    if not line.startswith("/"):
        return _emit(line, ack=False)
    word, _, rest = line[1:].partition(" ")
    try:
        verb = Verb(word)
    except ValueError:
        raise Unclear(
            f"there is no command /{escaped(word)}; /help lists them. An event of that name is typed in quotes"
        ) from None
    if verb is not Verb.ACK:
        return Order(verb, rest.strip())
    if not rest.strip():
        raise Unclear("expected an event after /ack, such as: /ack hello 1")
    return _emit(rest.strip(), ack=True)


def _emit(line: str, *, ack: bool) -> Emit:
    event, at = event_at(line)
    if line.endswith(" ?") and at < len(line) - 1:
        line, ack = line[:-1], True
    args: list[Any] = []
    hints: list[str] = []
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        value, at, hint = _argument_at(line, at)
        args.append(value)
        hints.extend(hint)
    return Emit(event, tuple(args), ack, tuple(hints))


def event_at(line: str) -> tuple[str, int]:
    """The event that a line begins with, and where it ends.

    Raises:
        Unclear: it begins with a quote, and has no other.
    """
    if not line.startswith('"'):
        event = line.split(maxsplit=1)[0]
        return event, len(event)
    try:
        event, end = _JSON.raw_decode(line)
    except ValueError:
        raise Unclear("the event's name begins with \" and does not end with it") from None
    if end < len(line) and not line[end].isspace():
        raise Unclear(f"expected a space behind the event {quoted(event)}")
    return event, end


def event_of(text: str) -> str:
    """The one event that is named.

    Raises:
        Unclear: there is more.
    """
    event, end = event_at(text)
    if end < len(text):
        raise Unclear(f"expected one event, got {text!r}: a name with spaces stands in quotes")
    return event


def _argument_at(line: str, at: int) -> tuple[Any, int, list[str]]:
    """An argument, where it ends, and hints."""
    word = line[at:].split(maxsplit=1)[0]
    try:
        value, end = _JSON.raw_decode(line, at)
    except ValueError as error:
        if word[0] in '{["':
            raise Unclear(f"this is no JSON: {line[at : at + 40]!r} ({_reason(error)})") from None
        end = 0
        value = None
    if end and (end == len(line) or line[end].isspace()):
        return value, end, []
    if end and word[0] in '{["':
        raise Unclear(f"expected a space behind {line[at:end]!r}")
    if word.startswith("@") and len(word) > 1:
        return file_bytes(word[1:]), at + len(word), []
    return word, at + len(word), [f"{word} is no JSON: sent as the string {quoted(word)}"]


def read_argument(word: str) -> tuple[Any, str]:
    """An argument of a script: JSON where it is JSON, a file's bytes behind ``@``, otherwise a string; and a hint.

    Raises:
        Unclear: the file cannot be read.
    """
    if word.startswith("@") and len(word) > 1:
        return file_bytes(word[1:]), ""
    try:
        return _JSON.decode(word), ""
    except ValueError as error:
        bounds = word[:1] + word[-1:]
        looks = bounds in {"{}", "[]"}
        return word, f"{word[:60]!r} is no JSON ({_reason(error)}): sent as a string" if looks else ""


def file_bytes(path: str) -> bytes:
    """The bytes of a file that is small enough to be an argument.

    Raises:
        Unclear: there is no such file, or it is too big.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Unclear(
            f"cannot read {path!r}: {error.strerror}. A string that begins with @ is given as JSON, "
            f"in quotes: {quoted('@' + path)}"
        ) from None
    if len(content) > MAX_FILE:
        raise Unclear(f"{path!r} has more than {MAX_FILE} bytes: too much for one argument")
    return content


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is none of JSON's")


#: Python's own reads NaN and Infinity, which no other end would.
_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)


def _reason(error: ValueError) -> str:
    return (
        f"{error.msg[:1].lower()}{error.msg[1:]} at {error.pos + 1}"
        if isinstance(error, json.JSONDecodeError)
        else str(error)
    )
