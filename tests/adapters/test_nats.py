"""The adapter for NATS, over the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from socketeer.adapters import NatsAdapter
from socketeer.errors import OptionError
from socketeer.server.server import BaseServer
from socketeer.testing.adapters import AdapterContract
from tests.adapters.nats_streams import jetstream, remove_streams
from tests.adapters.redis_nodes import prefix
from tests.support import requirements


class TestNats(AdapterContract):
    nodes = 3
    patience = 10.0

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        url, start = requirements.nats(), prefix()
        return [BaseServer(adapter=NatsAdapter(url, start), **options) for _ in range(count)]


class TestJetStream(AdapterContract):
    nodes = 3
    patience = 10.0

    async def make_servers(self, count: int, **options: Any) -> Sequence[BaseServer]:
        start = prefix()
        self.prefixes = [*getattr(self, "prefixes", ()), start]
        return [BaseServer(adapter=jetstream(start), **options) for _ in range(count)]

    async def close_servers(self, servers: Sequence[BaseServer]) -> None:
        await super().close_servers(servers)
        await remove_streams(self.prefixes.pop())


# --- options -----------------------------------------------------------------------------------------


def test_what_nodes_call_each_other_begins_with_the_prefix() -> None:
    made = NatsAdapter(prefix="chat", forwarding=False)
    assert (made.prefix, made.forwarding) == ("chat", False)
    assert (NatsAdapter().prefix, NatsAdapter().forwarding) == ("socket.io", True)


@pytest.mark.parametrize(
    "server",
    ["http://localhost", "nonsense", "nats://", "nats://h:99999", "", [], [5], 5, None, ["nats://a", "x"]],
)
def test_what_is_no_server_is_refused(server: Any) -> None:
    with pytest.raises(OptionError, match="server: expected a URL"):
        NatsAdapter(server)


@pytest.mark.parametrize("start", ["", ".", "a.", "a..b", "a b", "*", "a.>", "é", "==", "x" * 300])
def test_what_is_no_prefix_is_refused(start: str) -> None:
    with pytest.raises(OptionError, match="prefix: expected letters"):
        NatsAdapter(prefix=start)


def test_settings_that_are_ours_are_refused() -> None:
    with pytest.raises(
        OptionError, match=r"connect: expected some of .*user_credentials.*got allow_reconnect"
    ):
        NatsAdapter(connect={"allow_reconnect": True, "user": "x"})
