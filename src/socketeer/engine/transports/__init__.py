"""What carries a session: long-polling and WebSocket, one module each."""
