"""What a hostile peer may send, and the answer to each: one test for each variant, over raw sockets.

Every test also sees that the server was not hurt; `arena` says how. The numbers in the docstrings count the kinds of
hostile input: 1 to 15 the handshake, 16 to 30 long-polling, 31 to 42 WebSocket and the upgrade, 43 to 48 Engine.IO
packets, 49 to 66 the Socket.IO parser and what it feeds.
"""
