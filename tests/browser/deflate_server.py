"""What the browser meets in `test_deflate`: an echo that compresses, and an empty page with the official client.

Run as a module; the argument says whether messages may refer to those before them.
"""

from __future__ import annotations

import sys
from typing import Any

from socketeer import PerMessageDeflate, Server, Socket
from socketeer.cli import client_files
from socketeer.cli.page import Page

CLIENT = "/socket.io.esm.min.js"


def main(context: bool) -> None:
    io = Server(
        per_message_deflate=PerMessageDeflate(
            server_no_context_takeover=not context, client_no_context_takeover=not context
        )
    )

    @io.on("connection")
    def connection(socket: Socket) -> None:
        def echo(*values: Any) -> list[Any]:
            return [*values]  # one value: more than the first would not reach `emitWithAck`

        socket.on("echo", echo)

    page = Page({"/": b"<!doctype html><title>echo</title>", CLIENT: client_files.load().read(CLIENT[1:])})
    io.run(port=0, app=page, ready=print)


if __name__ == "__main__":
    main(context=sys.argv[1] == "context")
