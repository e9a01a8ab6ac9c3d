"""Who a face track shows: one decision for all frames of one face, beside the decisions about single frames.

Three ways from the same embeddings, each compared with the gallery:

* frame by frame, as :mod:`facenet.recognition.comparing` does with photos;
* windows: each frame together with ``context`` frames on either side, as the normalised mean of their embeddings;
* tracks: the normalised mean of a track's windows, for one decision.

A frame without a usable face has no row: its neighbours become neighbours. All frames count alike: weighting them by
their quality found nobody else in tracks of pictures that had been made worse.

The score of a mean with a person's template is the mean of its frames' scores divided by their *agreement*, the length
of the mean embedding, which is at most 1 (the mean resultant length; Mardia & Jupp, "Directional Statistics", Wiley
2000). So the scores of tracks lie farther from 0 than those of frames, for the right person and for anybody else, and
a threshold that was set on single pictures has another error rate on tracks; one that was set on tracks keeps its own
(:mod:`facenet.workflows.track_calibration`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from facenet.data.sequences import Edge, FrameSequences
from facenet.errors import UsageError
from facenet.evaluation.photos import Photo
from facenet.gallery.backend import VectorBlock
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Candidate, Fusion
from facenet.gallery.templates import fuse
from facenet.geometry import normalise
from facenet.recognition.comparing import SEARCHED_AT_ONCE, identify_photos
from facenet.recognition.decisions import Rule
from facenet.recognition.outcomes import Outcome, Status

NOT_COMPARED = (Status.NO_FACE, Status.TOO_SMALL, Status.UNREADABLE)
"""What is said of a frame that has no row."""

_SHORTEST_MEAN = 1e-6
_WINDOWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class TrackFrames:
    """The frames of some tracks, each decided alone.

    Attributes:
        outcomes: for each track one outcome for each frame, in order.
        rows: for each track ``float32 (compared frames, d)``, unit rows in order.
    """

    outcomes: tuple[tuple[Outcome, ...], ...]
    rows: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class TrackDecisions:
    """What windows and whole tracks were decided to show.

    Attributes:
        context: frames on either side of a window.
        windows: for each track one outcome for each compared frame, in order.
        tracks: one outcome for each track; its source is the track's name.
    """

    context: int
    windows: tuple[tuple[Outcome, ...], ...]
    tracks: tuple[Outcome, ...]


class TrackEmbeddings(NamedTuple):
    """What stands for the frames of some tracks, and for each track as a whole.

    Attributes:
        windows: ``float32 (compared frames, d)``, unit rows, those of one track after the other.
        tracks: the tracks that have frames, by number, rising.
        means: ``float32 (m, d)``, a unit row for each of these: the normalised mean of its windows.
    """

    windows: np.ndarray
    tracks: list[int]
    means: np.ndarray


@dataclass(frozen=True)
class Vote:
    """What most frames of a track say, each for itself.

    Attributes:
        candidate: who has most votes, with the mean score of these; None if most frames are of nobody known.
        frames: votes for that.
        of: frames that were compared.
    """

    candidate: Candidate | None
    frames: int
    of: int


def read_tracks(
    gallery: Gallery, lengths: Sequence[int], photos: Iterable[Photo], rule: Rule, *, top_k: int, smallest: float
) -> TrackFrames:
    """Decide every frame alone, and keep the embeddings of those that can be compared.

    Args:
        gallery: searched.
        lengths: frames of each track.
        photos: the frames of one track after the other, as many as ``lengths`` say; read with a policy that picks one
            face.
        rule, top_k, smallest: see :func:`facenet.recognition.comparing.identify_photos`.
    """
    embeddings: list[np.ndarray] = []
    outcomes: list[Outcome] = []

    def noted() -> Iterator[Photo]:
        for photo in photos:
            embeddings.append(photo.faces[0].embedding if photo.faces else np.empty(0, np.float32))
            yield photo

    outcomes.extend(identify_photos(gallery, noted(), rule, top_k=top_k, smallest=smallest))
    edges = np.cumsum([0, *lengths]).tolist()
    spans = [slice(start, end) for start, end in zip(edges[:-1], edges[1:], strict=True)]
    rows = []
    for span in spans:
        usable = [
            embedding
            for embedding, outcome in zip(embeddings[span], outcomes[span], strict=True)
            if outcome.status not in NOT_COMPARED
        ]
        rows.append(np.stack(usable) if usable else np.empty((0, gallery.header.embedding_size), np.float32))
    return TrackFrames(tuple(tuple(outcomes[span]) for span in spans), tuple(rows))


def decide_tracks(
    gallery: Gallery, names: Sequence[str], frames: TrackFrames, rule: Rule, *, context: int, top_k: int
) -> TrackDecisions:
    """Decide every window, and every track as a whole.

    Args:
        gallery: searched.
        names: of the tracks, in the order of ``frames``.
        frames: as :func:`read_tracks` gives them.
        rule: decides about windows too, which are means of frames as tracks are.
        context: frames on either side of a window, from 0.
        top_k: candidates told, at least 1.

    Raises:
        UsageError: ``context`` is negative.
    """
    embeddings = embed_tracks(frames.rows, context)
    compared = [o.source for of_track in frames.outcomes for o in of_track if o.status not in NOT_COMPARED]
    windows = iter(_decide(gallery, embeddings.windows, compared, rule, top_k))
    wholes = _decide(gallery, embeddings.means, [names[track] for track in embeddings.tracks], rule, top_k)
    fused = dict(zip(embeddings.tracks, wholes, strict=True))
    return TrackDecisions(
        context,
        tuple(tuple(islice(windows, len(rows))) for rows in frames.rows),
        tuple(
            fused[track] if track in fused else _undecidable(names[track], frames.outcomes[track])
            for track in range(len(names))
        ),
    )


def embed_tracks(rows: Sequence[np.ndarray], context: int) -> TrackEmbeddings:
    """What is searched for in place of single frames: the one definition, for deciding and for calibrating.

    Args:
        rows: for each track ``float32 (compared frames, d)``, unit rows in order; none where no frame can be compared.
        context: frames on either side of a window, from 0.

    Raises:
        UsageError: ``context`` is negative.
    """
    if context < 0:
        raise UsageError(f"context counts the frames on either side: it cannot be {context}")
    if not any(len(of_track) for of_track in rows):
        nothing = np.empty((0, 0), np.float32)
        return TrackEmbeddings(nothing, [], nothing)
    sequences = FrameSequences(rows, context=context, edge=Edge.ZEROS)
    windows = window_embeddings(sequences)
    return TrackEmbeddings(windows.numpy(), *fuse_tracks(windows, sequences))


def window_embeddings(frames: FrameSequences) -> Tensor:
    """What each frame looks like together with its neighbours: the normalised mean of its window.

    Rows beyond the ends of a recording must be zeros, so that the mean is that of the frames there are. Where the mean
    has no direction left (opposite rows that cancel out), the frame itself stands for its window.

    Args:
        frames: unit rows, with :attr:`facenet.data.sequences.Edge.ZEROS` unless the context is 0.

    Returns:
        ``float32 (samples, d)``, unit rows.
    """
    means = torch.empty((len(frames), frames.size))
    for start in range(0, len(frames), _WINDOWS_AT_ONCE):
        windows = frames.batch(np.arange(start, min(start + _WINDOWS_AT_ONCE, len(frames))))
        # Divided by the places in a window and not by the frames in it, for the length is normalised anyway.
        mean = windows.mean(dim=1)
        lost = torch.linalg.vector_norm(mean, dim=1) < _SHORTEST_MEAN
        means[start : start + len(mean)] = torch.where(lost[:, None], windows[:, frames.context], mean)
    return normalise(means)


def fuse_tracks(windows: Tensor, frames: FrameSequences) -> tuple[list[int], np.ndarray]:
    """One embedding for each recording, as :func:`facenet.gallery.templates.fuse` makes one for each person.

    Args:
        windows: ``(samples, d)``, unit rows, one for each sample of ``frames``.
        frames: says which recording each is of.

    Returns:
        The recordings that have rows, rising, and for each a unit row: ``float32 (m, d)``.
    """
    count = len(frames)
    block = VectorBlock(
        persons=frames.locate(np.arange(count)).recordings,
        samples=np.arange(count),
        vectors=windows.numpy(),
        qualities=np.ones(count, np.float32),
        expires=np.full(count, np.inf),
    )
    recordings, means = fuse(block, Fusion.MEAN)
    return recordings.tolist(), means


def agreement(rows: np.ndarray) -> float | None:
    """How alike the frames of a track are: the length of their mean embedding, in ``[0, 1]``; None without any.

    1 if all are the same. Far below the other tracks' it says that the frames are poor, or not all of one person.
    """
    return min(1.0, float(np.linalg.norm(rows.mean(axis=0, dtype=np.float64)))) if len(rows) else None


def vote(frames: Sequence[Outcome], *, ranked: bool = False) -> Vote | None:
    """What most frames of a track say. Of several with equally many votes, whoever has the highest sum of scores.

    Args:
        frames: one outcome for each; those that were not compared have no vote.
        ranked: every frame votes for its best candidate, whether it reaches the threshold or not.

    Returns:
        None if no frame was compared.
    """
    ballots: dict[int | None, list[Candidate]] = defaultdict(list)
    compared = [outcome for outcome in frames if outcome.status not in NOT_COMPARED]
    nobody = Candidate(-1, "", -1.0)
    for outcome in compared:
        best = outcome.candidates[0] if outcome.candidates else nobody
        unknown = not outcome.candidates or (outcome.status is Status.UNKNOWN and not ranked)
        ballots[None if unknown else best.person].append(best)
    if not compared:
        return None
    winner, votes = max(ballots.items(), key=lambda item: (len(item[1]), sum(best.score for best in item[1])))
    score = sum(best.score for best in votes) / len(votes)
    candidate = None if winner is None else Candidate(winner, votes[0].name, score)
    return Vote(candidate, len(votes), len(compared))


def _decide(gallery: Gallery, rows: np.ndarray, sources: Sequence[str], rule: Rule, top_k: int) -> list[Outcome]:
    """Search the gallery for embeddings and decide, as for faces of photos."""
    outcomes = []
    for start in range(0, len(rows), SEARCHED_AT_ONCE):
        # The runner-up is looked for even where only the best is to be told: the margin needs it.
        results = gallery.search(rows[start : start + SEARCHED_AT_ONCE], max(top_k, 2))
        for source, result in zip(sources[start : start + SEARCHED_AT_ONCE], results, strict=True):
            status, reason = rule.decide(result)
            outcomes.append(
                Outcome(
                    source,
                    status,
                    candidates=result.candidates[:top_k],
                    threshold=rule.threshold,
                    margin=result.margin,
                    reason=reason,
                )
            )
    return outcomes


def _undecidable(name: str, frames: Sequence[Outcome]) -> Outcome:
    """A track without a usable frame: what most of its frames are."""
    found = Counter(outcome.status for outcome in frames)
    most = max(NOT_COMPARED, key=lambda status: found[status])
    counts = ", ".join(f"{found[status]:,} {status.value}" for status in NOT_COMPARED if found[status])
    return Outcome(name, most, reason=f"no usable frame: {counts}")
