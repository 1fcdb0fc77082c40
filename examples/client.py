"""A client: python client.py [URL], beside python tutorial.py. It follows the chat until Ctrl-C."""

import asyncio
import contextlib
import sys

from socketeer import Client


async def main(url):
    client = Client(url)

    @client.on("connect")
    def connect():  # also after each reconnection
        print("connected as", client.id)

    @client.on("disconnect")
    def disconnect(reason, description):
        print("disconnected:", reason)

    @client.on("chat message")
    def chat(text: str):  # the annotation validates the payload
        print("<", text)

    async with client:
        print("the server says", await client.emit_with_ack("chat message", "hello", timeout=5))
        await client.wait()  # until it is over; broken connections are made again


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:3004"))
