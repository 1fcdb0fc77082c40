"""Floor 1: bytes to packets and back. No I/O, no clock, no asyncio; both sides use it."""
