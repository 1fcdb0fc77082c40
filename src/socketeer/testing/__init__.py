"""For tests of what is built on Socketeer: contracts to pass, and clients without a network."""

from socketeer.testing.adapters import AdapterContract
from socketeer.testing.inprocess import WireClient
from socketeer.testing.parsers import ParserContract
from socketeer.testing.stage import Stage

__all__ = ["AdapterContract", "ParserContract", "Stage", "WireClient"]
