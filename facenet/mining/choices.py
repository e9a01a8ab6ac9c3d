"""Looking up a member of an enumeration by the name a user wrote."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from facenet.errors import UsageError, printable

Choice = TypeVar("Choice", bound=StrEnum)


def choose(kind: type[Choice], value: str) -> Choice:
    """Return the member of ``kind`` called ``value``.

    Raises:
        UsageError: there is none; the message names them all.
    """
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise UsageError(f"unknown {kind.__name__.lower()} {printable(value)!r}: choose one of {names}") from None
