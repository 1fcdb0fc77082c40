"""WebSocket extensions: the header that negotiates them, and what permessage-deflate agrees on.

https://www.rfc-editor.org/rfc/rfc6455#section-9.1 and https://www.rfc-editor.org/rfc/rfc7692#section-7.
What is accepted, what is refused and which of several offers is taken follow npm's ``ws``, which
the official server uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Final

from socketeer.errors import PeerError
from socketeer.options import PerMessageDeflate

NAME: Final = "permessage-deflate"

Parameters = list[tuple[str, str | None]]
"""The parameters of one offer in their order; None where one has no value."""

_CHARACTER = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_EXTENSION = re.compile(rf"[ \t]*({_CHARACTER}+)[ \t]*")
#: A value in quotes must be a token too, once its backslashes are gone.
_PARAMETER = re.compile(rf';[ \t]*({_CHARACTER}+)(?:=(?:({_CHARACTER}+)|"((?:\\?{_CHARACTER})+)"))?[ \t]*')

#: Window sizes as powers of two. The RFC allows no leading zeroes.
_WINDOW_BITS: Final = {str(bits): bits for bits in range(8, 16)}


class UnacceptableOffer(PeerError):
    """A header that does not parse, or offers that this server cannot take; the handshake is answered 400."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides keep to. None stands for the largest window, 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def header(self) -> str:
        """The value of ``Sec-WebSocket-Extensions`` in the response."""
        parts = [NAME]
        for each in fields(self):
            value = getattr(self, each.name)
            if value is True:
                parts.append(each.name)
            elif value:
                parts.append(f"{each.name}={value}")
        return "; ".join(parts)


def parse(header: str) -> list[tuple[str, Parameters]]:
    """The extensions that a header names, each with its parameters, in their order.

    Raises:
        UnacceptableOffer: it does not follow the grammar.
    """
    header = header.strip(" \t")
    extensions: list[tuple[str, Parameters]] = []
    position = 0
    while True:
        extension = _EXTENSION.match(header, position)
        if extension is None:
            break
        position = extension.end()
        parameters: Parameters = []
        while found := _PARAMETER.match(header, position):
            quoted = found[3]
            parameters.append((found[1], found[2] if quoted is None else quoted.replace("\\", "")))
            position = found.end()
        extensions.append((extension[1], parameters))
        if position == len(header):
            return extensions
        if header[position] != ",":
            break
        position += 1
    raise UnacceptableOffer(f"expected extensions, got {header[position : position + 20]!r} at {position}")


def negotiate(header: str, options: PerMessageDeflate) -> Agreement | None:
    """The first offer of permessage-deflate that suits the options; None where there is no offer at all.

    Raises:
        UnacceptableOffer: the header is malformed, one of the offers is, or none suits.
    """
    offers = [_checked(parameters) for name, parameters in parse(header) if name == NAME]
    for offer in offers:
        agreement = _answer(offer, options)
        if agreement is not None:
            return agreement
    if offers:
        raise UnacceptableOffer("no offer of permessage-deflate suits the options")
    return None


def _checked(parameters: Parameters) -> dict[str, int | None]:
    """The parameters of an offer by name; None where one has no value."""
    offer: dict[str, int | None] = {}
    for name, value in parameters:
        if name in offer:
            raise UnacceptableOffer(f"{name}: given twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            valid = value is None
        elif name == "server_max_window_bits":
            valid = value in _WINDOW_BITS
        elif name == "client_max_window_bits":  # without a value: "may be told, if the server likes"
            valid = value is None or value in _WINDOW_BITS
        else:
            raise UnacceptableOffer(f"{name[:100]!r}: unknown parameter")
        if not valid:
            raise UnacceptableOffer(f"{name}: invalid value {(value or '')[:100]!r}")
        offer[name] = None if value is None else _WINDOW_BITS[value]
    return offer


def _answer(offer: dict[str, int | None], options: PerMessageDeflate) -> Agreement | None:
    server_bits, client_bits = offer.get("server_max_window_bits"), offer.get("client_max_window_bits")
    if options.server_max_window_bits is not None:
        if server_bits is not None and server_bits < options.server_max_window_bits:
            return None
        server_bits = options.server_max_window_bits
    if options.client_max_window_bits is not None:
        if "client_max_window_bits" not in offer:
            return None  # the response must not name what the offer did not (RFC 7692 section 7.1.2.2)
        if client_bits is not None and client_bits < options.client_max_window_bits:
            return None
        client_bits = options.client_max_window_bits
    return Agreement(
        options.server_no_context_takeover or "server_no_context_takeover" in offer,
        options.client_no_context_takeover or "client_no_context_takeover" in offer,
        server_bits,
        client_bits,
    )
