"""What is the same for all connections of one uvicorn is found out once."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config

from socketeer import Server
from socketeer.integrations.uvicorn_site import site_of
from socketeer.integrations.uvicorn_websocket import WebSocketProtocol
from tests.integrations.served import other


def config(app: Any, **settings: Any) -> Config:
    return Config(app, log_config=None, **settings)


def test_it_is_kept_with_the_configuration() -> None:
    ours = config(Server().asgi(), ws=WebSocketProtocol)
    site = site_of(ours, 1.0)
    assert site_of(ours, 1.0) is site
    assert site.direct is not None
    assert site.websocket is WebSocketProtocol
    assert site_of(config(Server().asgi()), 1.0) is not site


def test_what_is_none_of_ours() -> None:
    site = site_of(config(other, ws="none"), 1.0)
    assert site.direct is None
    assert site.websocket is None


class Connection:
    """One whose request does not come."""

    def __init__(self) -> None:
        self.aborted = asyncio.get_running_loop().create_future()
        self.transport: Any = self

    def abort(self) -> None:
        self.aborted.set_result(None)


def test_who_is_silent_is_let_go_in_each_loop() -> None:
    site = site_of(config(other), 0.05)

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        patience = site.patience(loop)
        assert site.patience(loop) is patience
        silent, quick = Connection(), Connection()
        patience.begin(silent)
        patience.begin(quick)
        patience.end(quick)
        async with asyncio.timeout(10):
            await silent.aborted
        assert not quick.aborted.done()

    asyncio.run(wait())
    asyncio.run(wait())
