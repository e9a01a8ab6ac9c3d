"""What an examination of a gallery found, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Progress = Callable[[int, int | None], None]
"""Called with how much is done, and of how much, if that is known."""


class Severity(StrEnum):
    """How bad a finding is.

    ``DAMAGE``: something that was stored is lost, altered or cannot be relied on. ``WARNING``: everything is there, but
    something should be done. ``NOTE``: good to know.
    """

    DAMAGE = "damage"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: see :class:`Severity`.
        kind: what sort of thing it is, such as ``"embeddings"`` or ``"file-mode"``; the same in every language.
        message: in words, without names of people.
        advice: what to do about it.
        ids: of the people or rows concerned, the first few of them.
    """

    severity: Severity
    kind: str
    message: str
    advice: str = ""
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class HealthReport:
    """How a gallery is.

    Attributes:
        location: of the gallery.
        people, embeddings: how many could be read, None if that cannot be told.
        findings: worst first.
    """

    location: str
    people: int | None
    embeddings: int | None
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether there is nothing to be done: no finding worse than a note."""
        return all(finding.severity is Severity.NOTE for finding in self.findings)

    @property
    def damaged(self) -> bool:
        """Whether something is lost or altered, which a repair could save what is left of."""
        return any(finding.severity is Severity.DAMAGE for finding in self.findings)
