"""Socketeer's client, through its public names only and with every option but the transport at its default."""

from collections.abc import Callable
from typing import Any

from client_work import Work, run

from socketeer import Client


async def connect(url: str, work: Work) -> Callable[[], None]:
    client = Client(url, transports=["websocket"])

    def send() -> None:
        client.emit(*work.request)

    # Any, not str: an annotation would have the payload validated, which no peer does.
    @client.on(work.reply)
    def reply(text: Any) -> None:
        if work.again(text):
            send()

    await client.connect()
    return send


run(connect)
