"""From the options of a command to a client, and from an error to what a person can do about it."""

from __future__ import annotations

import socket
import ssl as tls
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

from socketeer.cli.trouble import Trouble
from socketeer.cli.values import as_json, escaped
from socketeer.cli.words import Unclear, read_argument
from socketeer.client.client import Client
from socketeer.errors import ConnectionRefused, OptionError, TransportError, UsageError
from socketeer.options import TransportName

#: Exit codes beside 0.
FAILED: Final = 1
USAGE: Final = 2
NO_ACK: Final = 3

#: What an option of the client is called on the command line, where it is called otherwise.
_OPTIONS: Final = {"transports": "transport", "extra_headers": "header", "url": ""}


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to connect to and how: the options as they were given."""

    url: str
    namespace: str | None = None
    auth: Sequence[str] = ()
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    transports: Sequence[str] = ()
    path: str = "/socket.io"
    parser: str = "default"
    insecure: bool = False
    proxy: str | None = None
    timeout: float = 20.0

    @property
    def target(self) -> str:
        """The server's address as one would look at it, for messages."""
        parts = urlsplit(_with_scheme(self.url))
        return escaped(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], self.path, "", "")))

    def client(self, **options: Any) -> Client:
        """The client that the options describe; ``options`` are those that only the command knows.

        Raises:
            Trouble: an option is not understood, and which.
        """
        try:
            return Client(
                self._url(),
                auth=read_auth(self.auth),
                query=read_pairs("--query", self.query, "=", "key=value"),
                extra_headers=read_pairs("--header", self.headers, ":", "'Name: value'"),
                transports=cast(Sequence[TransportName], self.transports or ("polling", "websocket")),
                path=self.path,
                parser=self.parser,
                ssl=not self.insecure,
                proxy=self.proxy,
                timeout=self.timeout,
                **options,
            )
        except (OptionError, UsageError) as error:
            option, _, what = str(error).partition(": ")
            if not option.isidentifier():
                raise Trouble(str(error), code=USAGE) from None
            flag = _OPTIONS.get(option, option).replace("_", "-")
            raise Trouble(what, f"Change --{flag}." if flag else "", code=USAGE) from None

    def _url(self) -> str:
        """The URL with the namespace as its path."""
        parts = urlsplit(_with_scheme(self.url))
        if self.namespace is None:
            return urlunsplit(parts)
        namespace = "/" + self.namespace.strip("/")
        if parts.path.strip("/") and "/" + parts.path.strip("/") != namespace:
            raise Trouble(
                f"the URL names the namespace {parts.path}, and --namespace {namespace}",
                "The path of the URL is a namespace; where the server answers is said by --path. Give only one of them.",
                code=USAGE,
            )
        return urlunsplit(parts._replace(path=namespace))


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def read_auth(given: Sequence[str]) -> dict[str, Any] | None:
    """What the server gets as ``handshake.auth``: a JSON object, or pairs of keys and strings.

    Raises:
        Trouble: it is neither.
    """
    auth: dict[str, Any] = {}
    for each in given:
        if each.lstrip().startswith("{"):
            value, _ = read_argument(each)
            if not isinstance(value, dict):
                raise Trouble(
                    f"--auth: {each!r} is no JSON object", "Such as: --auth '{\"token\": 1}'", code=USAGE
                )
            auth.update(value)
        else:
            auth.update(read_pairs("--auth", [each], "=", 'key=value or a JSON object such as {"token": 1}'))
    return auth or None


def read_pairs(option: str, given: Iterable[str], mark: str, form: str) -> dict[str, str]:
    """The pairs that an option gives, one each time.

    Raises:
        Trouble: one of them is no pair.
    """
    pairs = {}
    for each in given:
        key, found, value = each.partition(mark)
        if not found or not key.strip():
            raise Trouble(f"{option}: expected {form}, got {each!r}", code=USAGE)
        pairs[key.strip()] = value.strip() if mark == ":" else value
    return pairs


def read_arguments(words: Iterable[str]) -> tuple[list[Any], list[str]]:
    """The arguments of an event, and hints.

    Raises:
        Trouble: a file that is named cannot be read.
    """
    try:
        read = [read_argument(each) for each in words]
    except Unclear as unclear:
        raise Trouble(str(unclear), code=USAGE) from None
    return [value for value, _ in read], [hint for _, hint in read if hint]


def refused(error: ConnectionRefused, namespace: str) -> Trouble:
    """The server does not let us in."""
    said = f"{namespace} refused the connection: {escaped(error.message)}"
    if error.data is not None:
        said += f" {as_json(error.data)}"
    if error.message == "Invalid namespace":
        return Trouble(
            said, "The server has no such namespace: see --namespace. Where it answers is said by --path."
        )
    return Trouble(said, "What the server wants to know is given by --auth, --query or --header.")


def unreachable(error: TransportError, dial: Dial) -> Trouble:
    """There is no connection."""
    return Trouble(f"no connection to {dial.target}: {escaped(error.message)}", advice(error, dial))


def slow(dial: Dial, namespace: str) -> Trouble:
    """There is a connection, but the server says neither yes nor no."""
    return Trouble(
        f"{dial.target} did not let us into {namespace} in time",
        "Is it a Socket.IO server with this --parser? --timeout gives it more time.",
    )


def advice(error: TransportError, dial: Dial) -> str:
    """What to check when there is no connection."""
    causes = list(_causes(error))
    status = error.description if isinstance(error.description, int) else None
    if any(isinstance(each, socket.gaierror) for each in causes):
        return "Is the host's name right?"
    if any(isinstance(each, tls.SSLCertVerificationError) for each in causes):
        return "The certificate is not one that this machine trusts; --insecure does not check it."
    if any(isinstance(each, tls.SSLError) for each in causes):
        return "Does the server speak TLS? If not, the URL begins with http://."
    if dial.proxy is not None:
        return "Is the proxy there, and does it reach the server? It is what --proxy says."
    if any(
        isinstance(each, ConnectionRefusedError) for each in causes
    ) or "connection attempts failed" in str(error):
        return (
            "Nothing listens there. Is the server running, and is that its port? `socketeer demo` starts one."
        )
    if error.message.startswith("the connection ended before"):
        return "Does the server use this --parser, and is it a server of Socket.IO 3 or newer?"
    if error.message.endswith("(timeout)"):
        return "Is the host right, and no firewall between? --timeout gives it more time."
    if status == 404 or (status is None and "packet" in error.message):
        return f"Something else answers there. Where a Socket.IO server answers is said by --path (now {dial.path})."
    if status == 400:
        return "Perhaps it does not take this transport (--transport), or is a server of Socket.IO 2."
    if status in {401, 403}:
        return "The server wants something by --header, --query or --auth."
    return "Is the server running? --transport, --path and --proxy change the way to it."


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__
