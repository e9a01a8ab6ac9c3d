"""What else a store is given about a person, checked and brought into the one form that is stored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from facenet.errors import InputError

MOST_METADATA = 64 * 1024
"""Bytes of a person's metadata as JSON in UTF-8."""

LONGEST_CONSENT = 1024
"""Characters of a reference to a consent."""

_MOST_DETAILS = 16 * 1024


def now() -> str:
    """This moment: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """A JSON object → the text that is stored.

    Raises:
        InputError: no JSON object, numbers that are not finite, text that is not valid, or larger than
            :data:`MOST_METADATA`.
    """
    return _json_text(metadata, "metadata", MOST_METADATA)


def details_text(details: Mapping[str, Any]) -> str:
    """Details of an audit entry → the text that is stored.

    Raises:
        InputError: as :func:`metadata_text`, with a smaller limit.
    """
    return _json_text(details, "details of the audit log", _MOST_DETAILS)


def consent_text(consent: str) -> str:
    """A reference to a consent → the text that is stored.

    Raises:
        InputError: no text, too long, or not printable.
    """
    if not isinstance(consent, str):
        raise InputError(f"a consent reference must be text, not {type(consent).__name__}")
    text = consent.strip()
    if len(text) > LONGEST_CONSENT:
        raise InputError(f"the consent reference has {len(text)} characters: at most {LONGEST_CONSENT} are allowed")
    if not text.isprintable():
        raise InputError("the consent reference holds characters that cannot be printed")
    return text


def expires_text(expires: str) -> str:
    """When somebody expires → UTC, ISO 8601, to the second; empty: never.

    A time without a zone is taken as UTC. A day without a time counts in full, as on a passport: the person expires
    when that day is over in UTC.

    Raises:
        InputError: no ISO 8601 date or time, or outside the years 1 to 9999.
    """
    if not isinstance(expires, str):
        raise InputError(f"an expiry must be text, not {type(expires).__name__}")
    text = expires.strip()
    if not text:
        return ""
    try:
        moment = _moment(text)
    except (ValueError, OverflowError) as error:
        shown = text[:40].encode("unicode_escape").decode("ascii")
        raise InputError(
            f"cannot read the expiry {shown!r}: give a day such as 2027-12-31 or a time such as 2027-12-31T18:00+01:00"
        ) from error
    return moment.isoformat(timespec="seconds")


def expires_seconds(expires: str) -> float:
    """A stored expiry → Unix time; infinite for the empty text, which means never."""
    return datetime.fromisoformat(expires).timestamp() if expires else math.inf


def _moment(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        # Rounded up: nobody is gone before their time.
        return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def _json_text(value: Mapping[str, Any], what: str, most: int) -> str:
    if not isinstance(value, Mapping):
        raise InputError(f"{what} must be a JSON object, not {type(value).__name__}")
    _require_text_keys(value, what)
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
        size = len(text.encode("utf-8"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be stored as JSON: {_reason(error)}") from error
    if size > most:
        raise InputError(f"{what} take {size} bytes as JSON: at most {most} are allowed")
    return text


def _require_text_keys(value: object, what: str) -> None:
    """JSON would silently turn other keys into text, two of them perhaps into the same one."""
    waiting: list[object] = [value]
    for _ in range(MOST_METADATA):
        if not waiting:
            return
        item = waiting.pop()
        if isinstance(item, Mapping):
            if not all(isinstance(key, str) for key in item):
                raise InputError(f"{what} must have text as keys")
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    raise InputError(f"{what} hold too many values or lead back into themselves")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds text that is not valid Unicode"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).lower()
