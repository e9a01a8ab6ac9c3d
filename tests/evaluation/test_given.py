"""Faces that are given by their landmarks: cut where they are said to be, one answer for each picture."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import paint, red_face, save, toy_embedder

from facenet.detection.alignment import cut_face
from facenet.detection.faces import FoundFace
from facenet.detection.quality import measure_quality
from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.embedded import State
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.flips import Flip, with_mirrored
from facenet.evaluation.given import cut_given, embed_given_faces
from facenet.evaluation.ijbfiles import Landmarks
from facenet.images import load_image

OUTSIDE = red_face(5_000, 5_000, 5_040, 5_050)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return toy_embedder("five-point")


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[list[Path], list[FoundFace]]:
    """Seven pictures with a face each, every time somewhere else."""
    paths, faces = [], []
    for number in range(7):
        box = (10 + 5 * number, 12, 60 + 5 * number, 70 + number)
        paths.append(save(tmp_path / f"{number}.png", paint(120, 160, box, seed=number)))
        faces.append(red_face(*box))
    return paths, faces


def by_hand(path: Path, face: FoundFace, embedder: Embedder) -> tuple[torch.Tensor, torch.Tensor]:
    """The embedding of one face, and that of the same face mirrored."""
    cut = cut_face(load_image(path), face, embedder.preprocessing)[None]
    return embedder.trunk(cut)[0], embedder.trunk(cut.flip(-1))[0]


@pytest.mark.parametrize("flip", list(Flip))
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_faces_are_embedded_where_they_are_said_to_be(
    pictures: tuple[list[Path], list[FoundFace]], embedder: Embedder, flip: Flip, batch_size: int
) -> None:
    paths, faces = pictures
    told: list[tuple[int, int | None]] = []
    found = embed_given_faces(
        paths, faces, embedder, flip=flip, batch_size=batch_size, progress=lambda *done: told.append(done)
    )
    plain, mirrored = map(torch.stack, zip(*map(by_hand, paths, faces, [embedder] * 7), strict=True))
    torch.testing.assert_close(found.embeddings, with_mirrored(plain, mirrored, flip), atol=1e-5, rtol=0)
    assert set(found.states) == {State.FACE} and found.paths == tuple(map(str, paths))
    np.testing.assert_allclose(found.boxes, [face.box for face in faces])
    cuts = [cut_face(load_image(path), face, embedder.preprocessing) for path, face in zip(paths, faces, strict=True)]
    qualities = [measure_quality(cut, face).score for cut, face in zip(cuts, faces, strict=True)]
    np.testing.assert_allclose(found.qualities, qualities)
    assert found.fingerprint == embedder.fingerprint
    assert told == [(number, 7) for number in range(1, 8)]
    assert not [thread for thread in threading.enumerate() if thread.name == "photo-reader"]


def test_every_picture_is_answered(pictures: tuple[list[Path], list[FoundFace]], embedder: Embedder) -> None:
    paths, faces = pictures
    paths[1].unlink()
    paths[2].write_bytes(b"no picture")
    faces[4] = OUTSIDE
    found = embed_given_faces(paths, faces, embedder, missing="as-failure", batch_size=2, flip=Flip.CONCAT)
    face = State.FACE
    assert found.states == (face, State.MISSING, State.UNREADABLE, face, State.NO_FACE, face, face)
    assert found.failed.tolist() == found.embeddings.isnan().any(dim=1).tolist()
    assert np.isnan(found.qualities).tolist() == np.isnan(found.boxes[:, 0]).tolist() == found.failed.tolist()
    assert [bool(content) for content in found.contents] == [True, False, True, True, True, True, True]
    used = [0, 3, 5, 6]
    rows = [by_hand(paths[place], faces[place], embedder) for place in used]
    plain, mirrored = map(torch.stack, zip(*rows, strict=True))
    wanted = with_mirrored(plain, mirrored, Flip.CONCAT)
    torch.testing.assert_close(found.embeddings[used], wanted, atol=1e-5, rtol=0)


def test_pictures_that_cannot_be_used_are_all_listed(
    pictures: tuple[list[Path], list[FoundFace]], embedder: Embedder
) -> None:
    paths, faces = pictures
    for path in paths[2:4]:
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"(?s)2 of 7 pictures cannot be read:.*2\.png.*3\.png"):
        embed_given_faces(paths, faces, embedder)
    for path in paths[4:6]:
        path.unlink()
    with pytest.raises(MissingError, match=r"(?s)2 of 7 pictures are not there:.*4\.png.*5\.png"):
        embed_given_faces(paths, faces, embedder)


def test_landmarks_of_a_file_are_faces(pictures: tuple[list[Path], list[FoundFace]], embedder: Embedder) -> None:
    paths, faces = pictures
    landmarks = Landmarks(np.array([face.landmarks for face in faces]), np.array([face.probability for face in faces]))
    found, wanted = (embed_given_faces(paths, given, embedder) for given in (landmarks, faces))
    torch.testing.assert_close(found.embeddings, wanted.embeddings)
    assert found.states == wanted.states


def test_no_picture_at_all(embedder: Embedder) -> None:
    assert embed_given_faces([], [], embedder).embeddings.shape == (0, embedder.embedding_size)


def test_bad_calls_are_refused(pictures: tuple[list[Path], list[FoundFace]], embedder: Embedder) -> None:
    paths, faces = pictures
    with pytest.raises(InputError, match="7 pictures need one given face each, not 6"):
        embed_given_faces(paths, faces[:6], embedder)
    with pytest.raises(UsageError, match="at least 1"):
        embed_given_faces(paths, faces, embedder, batch_size=0)
    for crop in ("margin-4", None):
        with pytest.raises(UsageError, match="not cut by landmarks"):
            cut_given(paths, faces, toy_embedder(crop).preprocessing)
