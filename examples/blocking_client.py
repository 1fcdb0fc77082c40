"""A client for ordinary threads: python blocking_client.py [URL], beside python tutorial.py.

It asks for a line, sends it, and shows the chat meanwhile; an empty line ends it.
"""

import sys

from socketeer import AckTimeout, BlockingClient

client = BlockingClient(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:3004")


@client.on("chat message")
def chat(text: str):  # runs in a thread of the client's own: it may block, and may call the client
    print("<", text)


with client:
    print("connected as", client.id)
    while line := input():
        try:
            print(client.emit_with_ack("chat message", line, timeout=5))
        except AckTimeout:
            print("nobody has acknowledged it")
