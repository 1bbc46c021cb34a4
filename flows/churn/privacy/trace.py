"""What is found of a customer, and what is left to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trace:
    """In ``store``, at ``place``: ``what`` there is, or was, of the customer. ``todo``: what a person has to do about it."""

    store: str
    place: str
    what: str
    todo: str = ""
