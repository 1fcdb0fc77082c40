"""Floor 3: Socket.IO over an Engine.IO session. Both sides use it."""
