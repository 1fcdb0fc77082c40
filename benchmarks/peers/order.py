"""The typed payload of the Python peers: ten fields, of the types that applications send."""

from dataclasses import dataclass


@dataclass
class Order:
    id: int
    customer: str
    email: str
    age: int
    score: float
    active: bool
    tags: list[str]
    city: str
    note: str | None
    created: str
