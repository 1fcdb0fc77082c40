"""What the tests of the commands share."""

from tests.support.client_cache import client_cache

__all__ = ["client_cache"]
