"""Floor 6: Socketeer under ASGI servers and beside ASGI applications."""
