"""What is otherwise for clients of Socket.IO 2, which come over Engine.IO 3 (``allow_eio3``).

Protocol 4 of Socket.IO (https://github.com/socketio/socket.io-protocol/tree/v4): the server joins ``/`` by itself;
``auth`` is the query behind a namespace's name; the client makes its ids out of the session's; refusals are bare.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from socketeer.engine.http.message import MAX_QUERY_FIELDS
from socketeer.engine.session import Session

#: What JavaScript takes for nothing, so that the official server sends the message instead; 0 equals False.
_NOTHING = (None, False, "")


def is_v2(session: Session) -> bool:
    """Whether the client is one of Socket.IO 2."""
    return session.protocol == 3


def parse_address(address: str) -> tuple[str, dict[str, Any]]:
    """The namespace of a CONNECT such as ``/admin?token=1``, and its query as ``auth``; of a repeated name the last.

    Raises:
        ValueError: the query has more than ``MAX_QUERY_FIELDS`` fields.
    """
    name, _, query = address.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS))


def socket_id(nsp: str, session: Session) -> str:
    """The id that the client gives itself: the session's, with the namespace in front where it is not ``/``."""
    return session.id if nsp == "/" else f"{nsp}#{session.id}"


def refusal(reason: dict[str, Any]) -> Any:
    """What the client's ``error`` event gets: the data, or else the message."""
    data = reason.get("data")
    return reason["message"] if data in _NOTHING else data
