"""Ids of 20 characters from the system's cryptographic random source.

Exactly 20: the sharded Redis adapter of the official packages tells a private room from a public
one by that length. 15 random bytes are 120 bits and make 20 characters of base64url with no padding.

In a cluster the id of a session begins with the id of the node that owns it
(docs/decisions/0012-no-sticky-sessions.md).
"""

from __future__ import annotations

from binascii import b2a_base64
from os import urandom

ID_LENGTH = 20

_URL_SAFE = bytes.maketrans(b"+/", b"-_")

#: Characters of a node's id: 36 bits.
NODE_ID_LENGTH = 6


def generate_id() -> str:
    """A new id: 20 characters of ``A-Z a-z 0-9 _ -``, 120 random bits."""
    return b2a_base64(urandom(15), newline=False).translate(_URL_SAFE).decode("ascii")


def generate_node_id() -> str:
    """A new id for a node of a cluster: 6 characters of ``A-Z a-z 0-9 _ -``."""
    return generate_id()[:NODE_ID_LENGTH]


def generate_id_of(node_id: str) -> str:
    """A new id that names its node: 20 characters, 84 random bits behind the node's id."""
    return node_id + generate_id()[NODE_ID_LENGTH:]
