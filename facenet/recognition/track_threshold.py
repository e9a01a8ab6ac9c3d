"""A threshold for whole face tracks: one set on searches by tracks, and the windows that these were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from facenet.errors import GalleryError
from facenet.evaluation.threshold import Threshold


@dataclass(frozen=True)
class TrackThreshold(Threshold):
    """Accept a track if ``score >= value``.

    Each of the ``impostor`` searches it rests on was one by the embedding of a whole track, as
    :func:`facenet.recognition.tracks.embed_tracks` makes it.

    Attributes:
        context: frames on either side of the windows that the tracks were fused from, from 0.

    Raises:
        ValueError: as for a :class:`facenet.evaluation.threshold.Threshold`; another kind than ``"fpir"``; a negative
            context.
    """

    context: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "fpir":
            raise ValueError(f"tracks are searched for: their threshold is of kind fpir, not {self.kind}")
        if self.context < 0:
            raise ValueError(f"context counts the frames on either side: it cannot be {self.context}")

    @classmethod
    def of(cls, threshold: Threshold, context: int) -> Self:
        """A threshold that was set on searches by tracks, with what these were made of."""
        return cls(**vars(threshold), context=context)

    def describe(self) -> str:
        """One line for people."""
        return f"{super().describe()}; each search by a whole track, windows of context {self.context}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_dict` gave.

        Raises:
            GalleryError: anything else.
        """
        rest = dict(values) if isinstance(values, Mapping) else {}
        context = rest.pop("context", None)
        threshold = Threshold.from_dict(rest)
        if not isinstance(context, int) or isinstance(context, bool):
            raise GalleryError(
                "the stored threshold for tracks cannot be used: its context is missing; calibrate again"
            )
        try:
            return cls.of(threshold, context)
        except ValueError as error:
            raise GalleryError(f"the stored threshold for tracks cannot be used: {error}; calibrate again") from error
