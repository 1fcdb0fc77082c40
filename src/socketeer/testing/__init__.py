"""Contracts for what others write for Socketeer; each is a class of tests to subclass in one's own."""

from socketeer.testing.parsers import ParserContract

__all__ = ["ParserContract"]
