"""What a person may be called, and how a person is referred to."""

from __future__ import annotations

import re
import unicodedata

from facenet.errors import InputError, printable

LONGEST_NAME = 256
"""In characters, after normalisation."""

_LONGEST_RAW = 16 * LONGEST_NAME
_REFERENCE = re.compile(r"id:\s*[+-]?\d+", re.IGNORECASE)
_ID = re.compile(r"id:([0-9]{1,19})")
_LARGEST_ID = 2**63 - 1
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORBIDDEN = {
    "Cc": "a control character",
    "Cs": "half a character (a surrogate), so it is no valid text",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_INVISIBLE = ("C", "M", "Z")


def normalise_name(name: str) -> str:
    """Return ``name`` as it is stored: Unicode NFC, without blanks around it.

    Any text in any script is a name, also what looks like SQL, a path or markup; nothing in this package interprets
    it. Two spellings that Unicode holds to be the same text become one.

    Raises:
        InputError: empty, nothing visible, longer than :data:`LONGEST_NAME`, of the form ``id:N`` (which refers to a
            person by number), or holding control characters, surrogates, line separators or marks that turn the
            direction of the text after them.
    """
    if not isinstance(name, str):
        raise InputError(f"a name must be text, not {type(name).__name__}")
    if len(name) > _LONGEST_RAW:
        raise InputError(f"the name {_shown(name)} has {len(name)} characters: at most {LONGEST_NAME} are allowed")
    text = unicodedata.normalize("NFC", name).strip()
    if not text:
        raise InputError("the name is empty")
    if len(text) > LONGEST_NAME:
        raise InputError(f"the name {_shown(text)} has {len(text)} characters: at most {LONGEST_NAME} are allowed")
    plain = text.isascii() and text.isprintable()
    for character in "" if plain else text:
        reason = _FORBIDDEN.get(unicodedata.category(character))
        if character in _BIDI:
            reason = "a mark that turns the direction of the text after it"
        if reason is not None:
            raise InputError(f"the name {_shown(text)} holds {reason}, U+{ord(character):04X}")
    if not plain and all(unicodedata.category(character).startswith(_INVISIBLE) for character in text):
        raise InputError(f"the name {_shown(text)} holds nothing visible")
    if _REFERENCE.fullmatch(text):
        raise InputError(f"the name {_shown(text)} has the form id:N, which refers to a person by number")
    return text


def parse_reference(reference: str) -> int | str:
    """What a user wrote for a person → the id if it is ``id:N``, else the name as it is stored.

    Raises:
        InputError: neither an id nor a legal name.
    """
    match = _ID.fullmatch(reference.strip())
    if match is None:
        return normalise_name(reference)
    number = int(match.group(1))
    if number > _LARGEST_ID:
        raise InputError(f"there is no person id:{number}")
    return number


def _shown(name: str) -> str:
    """The beginning of a name, for a message."""
    short = name if len(name) <= 40 else f"{name[:40]}…"
    return f"“{printable(short)}”"
