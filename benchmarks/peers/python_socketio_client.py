"""python-socketio's AsyncClient on aiohttp, as its documentation uses it."""

from collections.abc import Awaitable, Callable

import socketio
from client_work import Work, run


async def connect(url: str, work: Work) -> Callable[[], Awaitable[None]]:
    client = socketio.AsyncClient()

    async def send() -> None:
        await client.emit(*work.request)

    @client.on(work.reply)
    async def reply(text: str) -> None:
        if work.again(text):
            await send()

    await client.connect(url, transports=["websocket"])
    return send


run(connect)
