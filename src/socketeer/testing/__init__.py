"""For tests of what is built on Socketeer: contracts to pass, and clients without a network."""

from socketeer.testing.parsers import ParserContract

__all__ = ["ParserContract"]
