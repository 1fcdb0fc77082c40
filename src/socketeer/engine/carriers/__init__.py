"""What moves the bytes of one WebSocket: the fast path on picows, and plain ASGI."""
