"""Whether two photos show one person, by a model alone."""

from __future__ import annotations

from pathlib import Path

from facenet.detection.faces import Policy
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import read_photos
from facenet.recognition.comparing import Verification, verify_faces
from facenet.recognition.decisions import Origin, Rule
from facenet.recognition.gate import Limits


def verify_without_gallery(
    embedder: Embedder,
    first: Path,
    second: Path,
    *,
    threshold: float | None = None,
    aligned: bool = False,
    faces: Policy | None = None,
) -> tuple[Verification, Rule]:
    """Compare the faces of two photos.

    Args:
        embedder: the model.
        first, second: files.
        threshold: score in ``[-1, 1]`` to decide by; None: only the score is told.
        aligned: the pictures are faces already, cut as the model wants them.
        faces: which face of a photo is meant, not ``ALL``; None: a photo with several cannot be used.

    Returns:
        The answer, and what decided.
    """
    policy = Policy.LARGEST if faces is None else faces
    one, other = read_photos([first, second], embedder, aligned=aligned, policy=policy)
    rule = Rule(None, Origin.NONE) if threshold is None else Rule(threshold, Origin.GIVEN)
    return verify_faces(one, other, rule, one_face=faces is None, smallest=Limits().compared), rule
