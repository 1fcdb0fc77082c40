"""Not a peer: the one server under all clients that are measured, as cheap as a Python server can be.

It speaks as much Socket.IO as they need: it sends `echo` back as it came, and answers `flood` with as
many `news` in one write. While there is traffic it does not sleep, so that no client pays for waking it.
"""

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

# No heartbeat within a run: an hour is the longest that every client's timers take.
OPEN = b'0{"sid":"load","upgrades":[],"pingInterval":3600000,"pingTimeout":20000,"maxPayload":1000000}'
NEWS = b'42["news","all for one, one for all"]'
AWAKE = 0.05  # seconds without traffic until it sleeps


def frame(payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes((0x81, len(payload))) + payload


class Spinner:
    """Keeps the loop from sleeping while there is traffic."""

    def __init__(self) -> None:
        self._until = 0.0
        self._spins = False

    def traffic(self) -> None:
        self._until = LOOP.time() + AWAKE
        if not self._spins:
            self._spins = True
            LOOP.call_soon(self._spin)

    def _spin(self) -> None:
        self._spins = LOOP.time() < self._until
        if self._spins:
            LOOP.call_soon(self._spin)


class Load(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        self._out: list[bytes] = []
        self._write = transport.underlying_transport.write
        transport.send(WSMsgType.TEXT, OPEN)

    def on_ws_frame(self, transport: WSTransport, ws_frame: WSFrame) -> None:
        if ws_frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        packet = ws_frame.get_payload_as_bytes()
        if packet[:2] == b"40":
            self._out.append(frame(b'40{"sid":"load"}'))
        elif packet.startswith(b'42["flood",'):
            self._out.append(frame(NEWS) * int(packet[11:-1]))
        elif packet.startswith(b'42["echo",'):
            self._out.append(frame(packet))
        SPINNER.traffic()
        if ws_frame.last_in_buffer and self._out:
            self._write(b"".join(self._out))
            self._out.clear()


def listener(request: WSUpgradeRequest) -> WSListener:
    return Load()


async def main() -> None:
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


LOOP = uvloop.new_event_loop()
SPINNER = Spinner()
LOOP.run_until_complete(main())
