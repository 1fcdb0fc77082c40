"""The connecting side of Engine.IO against the official server: transports, upgrades, TLS, limits, heartbeats."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from interop.harness import HERE, Process
from socketeer import Server
from socketeer.protocol.frame import Message
from tests.engine.client_peers import opener, until
from tests.support import requirements
from tests.support.certificates import Certificates
from tests.support.serving import serving

MODES: list[dict[str, Any]] = [
    {"transports": ("polling",)},
    {"transports": ("websocket",)},
    {"transports": ("polling", "websocket")},
    {"transports": ("polling", "websocket"), "force_base64": True},
]


@contextlib.contextmanager
def official_engine(node: str, **options: Any) -> Iterator[tuple[Process, str]]:
    process = Process([node, "engine.mjs", json.dumps(options)], HERE / "reference")
    try:
        yield process, process.read()["url"]
    finally:
        process.stop()


@pytest.fixture(scope="module")
def engine(node: str) -> Iterator[str]:
    with official_engine(node, cookie=True) as (_, url):
        yield url


def message(text: str) -> Message:
    return Message(b"4" + text.encode())


@pytest.mark.parametrize("mode", MODES, ids=str)
async def test_all_that_is_said_comes_back(engine: str, mode: dict[str, Any]) -> None:
    async with opener(engine, **mode) as one:
        session = await one.open()
        expected: list[str | bytes] = ["Grüße 😀", "x" * 200_000, bytes(range(256)), b"", "end"]
        for each in expected:
            session.send(message(each) if isinstance(each, str) else Message(b"", [each]))
        await until(lambda: len(one.ear.messages) == len(expected), "the echo")
        assert one.ear.messages == expected
        if len(mode["transports"]) == 2:
            await until(lambda: one.ear.upgrades == 1, "the upgrade")
            session.send(message("over WebSocket"))
            await until(lambda: one.ear.messages[-1] == "over WebSocket", "the echo")
        session.close()
        assert await one.ear.end() == ("forced close", None)


async def test_messages_at_every_moment_of_an_upgrade(engine: str) -> None:
    """Both sides talk all the while; each time the client pauses elsewhere."""
    async with opener(engine, query={"burst": "300"}) as one:
        for turn in range(25):
            session = await one.open()
            for at in range(150):
                session.send(message(f"mine {at}"))
                for _ in range((at * 7 + turn) % 13):
                    await asyncio.sleep(0)
            await until(lambda: one.ear.upgrades, "the upgrade")
            await until(lambda: len(one.ear.messages) == 450, "all")
            mine = [each for each in one.ear.messages if str(each).startswith("mine")]
            burst = [each for each in one.ear.messages if str(each).startswith("burst")]
            assert mine == [f"mine {at}" for at in range(150)]
            assert burst == [f"burst {at}" for at in range(300)]
            session.close()
            await one.ear.end()


async def test_a_burst_by_polling_stays_below_the_servers_limit(node: str) -> None:
    """The official server answers 413 to a body above its maxHttpBufferSize, and the messages are gone."""
    with official_engine(node, maxHttpBufferSize=1_000) as (_, url):
        async with opener(url, transports=("polling",)) as one:
            session = await one.open()
            assert session.max_payload == 1_000
            texts = [f"{at} {'x' * (at % 300)}" for at in range(500)]
            for text in texts:
                session.send(message(text))
            await until(lambda: len(one.ear.messages) == 500 or one.ear.closed, "the echo")
            assert one.ear.messages == texts


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
async def test_a_server_that_is_stopped_is_noticed_by_its_missing_ping(
    node: str, mode: dict[str, Any]
) -> None:
    """SIGSTOP: its kernel still acknowledges all that is sent, as with a half-open connection."""
    with official_engine(node, pingInterval=150, pingTimeout=100) as (process, url):
        async with opener(url, **mode) as one:
            session = await one.open()
            beats: list[int] = []
            session.on("heartbeat", lambda: beats.append(1))
            await until(lambda: len(beats) >= 3, "some heartbeats")
            os.kill(process._popen.pid, signal.SIGSTOP)
            start = asyncio.get_running_loop().time()
            try:
                assert await one.ear.end() == ("ping timeout", None)
                assert asyncio.get_running_loop().time() - start < 0.15 + 0.1 + 0.1
            finally:
                os.kill(process._popen.pid, signal.SIGCONT)


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
async def test_a_server_that_is_killed_is_noticed_at_once(node: str, mode: dict[str, Any]) -> None:
    with official_engine(node) as (process, url):
        async with opener(url, **mode) as one:
            await one.open()
            if len(mode["transports"]) == 2:
                await until(lambda: one.ear.upgrades == 1, "the upgrade")
            process.stop()
            reason, _ = await one.ear.end()
            assert reason == ("transport error" if mode["transports"] == ("polling",) else "transport close")


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
async def test_the_server_is_told_of_the_end(node: str, mode: dict[str, Any]) -> None:
    with official_engine(node) as (process, url):
        async with opener(url, **mode) as one:
            session = await one.open()
            session.send(message("x"))
            session.close()
            await one.ear.end()
        assert process.read(5.0) == {"closed": "transport close"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    requirements.openssl()
    return Certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
async def test_tls(node: str, certificates: Certificates, mode: dict[str, Any]) -> None:
    with official_engine(node, key=str(certificates.key), cert=str(certificates.certificate)) as (_, url):
        await _over_tls(url, certificates, mode, "hello")


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
async def test_tls_of_our_own_server(certificates: Certificates, mode: dict[str, Any]) -> None:
    io = Server()
    io.on("connection", lambda socket: socket.on("echo", lambda data: data))
    files = {"ssl_keyfile": str(certificates.key), "ssl_certfile": str(certificates.certificate)}
    async with serving(io, **files) as port:
        await _over_tls(f"https://127.0.0.1:{port}", certificates, mode, "0")


async def _over_tls(url: str, certificates: Certificates, mode: dict[str, Any], text: str) -> None:
    for ssl in (certificates.client(), False):
        async with opener(url, ssl=ssl, **mode) as one:
            session = await one.open()
            session.send(message(text))
            await until(lambda: one.ear.messages, "the answer")
            if len(mode["transports"]) == 2:
                await until(lambda: one.ear.upgrades == 1, "the upgrade")
            assert str(one.ear.messages[0]).startswith(text)
