"""Long-polling for clients of Engine.IO 3: payloads of their own, and JSONP for browsers that have nothing else.

https://github.com/socketio/engine.io-protocol/blob/v3/README.md#transports
"""

from __future__ import annotations

from typing import Final

from socketeer.engine.session import Session
from socketeer.engine.transports.polling import BINARY, TEXT, PollingTransport
from socketeer.protocol import engineio_v3
from socketeer.protocol.frame import Message

_SCRIPT: Final = "text/javascript; charset=UTF-8"


def polling_v3(session: Session) -> PollingTransport:
    """The transport that the session's handshake asks for: ``j`` for JSONP, ``b64`` for binary as text."""
    if "j" in session.request.params:
        return JsonpTransport(session)
    return PollingV3Transport(session)


class PollingV3Transport(PollingTransport):
    """A session of Engine.IO 3 on long-polling."""

    __slots__ = ("_base64",)

    takes_binary = True

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._base64 = "b64" in session.request.params

    def _encode(self, messages: list[Message]) -> tuple[str, bytes]:
        if not self._base64 and engineio_v3.is_binary(messages):
            return BINARY, engineio_v3.encode_binary_payload(messages)
        return TEXT, engineio_v3.encode_payload(messages)

    def _take(self, body: bytes, binary: bool, max_packets: int) -> None:
        if binary:
            self._take_all(engineio_v3.decode_binary_payload(body, max_packets))
        else:
            self._take_all(engineio_v3.decode_payload(body, max_packets))

    def _take_all(self, packets: list[engineio_v3.Received]) -> None:
        for packet in packets:
            if packet.binary:
                self._session.receive_binary(packet.data)
            else:
                self._take_text(packet.data)


class JsonpTransport(PollingV3Transport):
    """A session whose polls are script elements and whose POSTs are forms."""

    __slots__ = ("_index",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._index = session.request.params["j"]

    def _encode(self, messages: list[Message]) -> tuple[str, bytes]:
        return _SCRIPT, engineio_v3.encode_jsonp(engineio_v3.encode_payload(messages), self._index)

    def _take(self, body: bytes, binary: bool, max_packets: int) -> None:  # noqa: ARG002
        self._take_all(engineio_v3.decode_jsonp(body, max_packets))
