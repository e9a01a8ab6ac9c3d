"""Protocols that compare pairs of pictures: LFW View 2, any file of pairs, and a folder of people."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.data.folders import scan_folder
from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.comparisons import Comparisons, count_as_wrong
from facenet.evaluation.embedded import Embedded
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.flips import centred
from facenet.evaluation.folds import FoldAccuracy, accuracy_on_folds, fold_parts
from facenet.evaluation.pairfiles import PairList, read_pair_list
from facenet.evaluation.pairs import all_or_sampled_pairs, count_pairs
from facenet.evaluation.scoring import score_rows
from facenet.evaluation.study import Study
from facenet.workflows.study_comparisons import TARGETS, Protocol, compare_pictures, folder_of, judged
from facenet.workflows.study_shared import (
    AS_THEY_ARE,
    AS_USUAL,
    Judging,
    Progress,
    Reading,
    about,
    embed,
    embed_people,
    label_of,
    pictures_of,
    usable_rows,
)


def lfw_study(
    embedder: Embedder,
    images: Path,
    pairs: Path,
    *,
    centre: bool = False,
    targets: Sequence[float] = TARGETS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """View 2 of Labeled Faces in the Wild: ten folds as the file gives them, accuracy with its standard error.

    Huang, Ramesh, Berg, Learned-Miller, "Labeled Faces in the Wild: A Database for Studying Face Recognition in
    Unconstrained Environments", 2007. The networks were trained on other pictures: "unrestricted, labeled outside
    data" in its terms.

    Args:
        embedder: the network.
        images: folder with a folder for each person.
        pairs: file in the LFW format; see :mod:`facenet.evaluation.pairfiles`.
        centre: take the mean embedding of the other folds' pictures away from a fold's, each picture counted once.
        targets: false match rates.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        InputError: not in the LFW format, fewer than two folds, a fold without genuine or impostor pairs, pictures
            that cannot be used.
        MissingError: files that are not there.
    """
    listed = read_pair_list(pairs, root=images, missing=reading.missing)
    if not _begins_as_lfw(pairs) or len(np.unique(listed.folds)) < 2:
        raise InputError(
            f"{printable(pairs)} is no LFW View 2 file, which begins with the numbers of folds, two or more, and of "
            "pairs: `evaluate pairs` takes any list of pairs"
        )
    study = _of_pairs(embedder, listed, images, pairs, centre, targets, reading, judging, progress)
    return replace(study, protocol="lfw", title="LFW View 2")


def pairs_study(
    embedder: Embedder,
    pairs: Path,
    *,
    images: Path | None = None,
    centre: bool = False,
    targets: Sequence[float] = TARGETS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """Any file of pairs, with folds or without; arguments and errors as :func:`lfw_study`.

    Args:
        images: folder below which the pictures lie; None: the folder of ``pairs``.
    """
    root = pairs.parent if images is None else images
    listed = read_pair_list(pairs, root=root, missing=reading.missing)
    if centre and len(np.unique(listed.folds)) < 2:
        raise UsageError(f"--centre takes the mean of the other folds, and {printable(pairs)} has one fold")
    return _of_pairs(embedder, listed, root, pairs, centre, targets, reading, judging, progress)


def _of_pairs(
    embedder: Embedder,
    listed: PairList,
    root: Path,
    file: Path,
    centre: bool,
    targets: Sequence[float],
    reading: Reading,
    judging: Judging,
    progress: Progress | None,
) -> Study:
    _require_both_kinds(listed, file)
    notices: list[str] = []
    samples = tuple(Path(path).relative_to(root).as_posix() for path in listed.paths)
    people = tuple(map(folder_of, samples))
    found = embed(listed.paths, embedder, reading, progress, notices)
    notices += _same_bytes(listed, found)
    plain = compare_pictures(found, listed.first, listed.second, listed.same, listed.people)
    comparisons, folds = with_folds(plain, listed, found, centre=centre)
    rules = ["accepted if score >= threshold"]
    if folds is not None:
        rules.append("threshold of the best accuracy on the other folds, scored on the fold")
    if centre:
        rules.append("the mean embedding of the other folds' pictures is taken away from a fold's")
    counts = {"pictures": len(found), "folds": len(np.unique(listed.folds)), "states": found.counts()}
    study = judged(
        comparisons,
        Protocol("pairs", "Pairs of pictures", samples, people),
        judging,
        label=label_of(embedder, judging),
        about=about(embedder, reading, judging, data={"pairs": file, "pictures": root}, counts=counts, rules=rules),
        notices=notices,
        targets=targets,
        folds=folds,
    )
    # Backwards, so that the first picture of a person names it.
    names = dict(zip(listed.people[::-1].tolist(), reversed(people), strict=True))
    return replace(
        study,
        embeddings=usable_rows(found),
        owners=comparisons.owners,
        people=tuple(names.get(owner, "") for owner in range(int(listed.people.max()) + 1)),
        pictures=pictures_of(found),
    )


def with_folds(
    plain: Comparisons, listed: PairList, found: Embedded, *, centre: bool
) -> tuple[Comparisons, FoldAccuracy | None]:
    """Measure the accuracy over the folds, if there are two or more.

    Args:
        plain: the pairs, scored as they are.
        listed: the pairs with their folds.
        found: their pictures, embedded.
        centre: see :func:`lfw_study`; then each pair's score becomes the one under its own fold's mean.

    Returns:
        The comparisons with their folds, and the accuracy; ``plain`` and None where there is one fold.

    Raises:
        InputError: as :func:`facenet.evaluation.folds.accuracy_on_folds`.
    """
    numbers, place = np.unique(listed.folds, return_inverse=True)
    if len(numbers) < 2:
        return plain, None
    comparisons = replace(plain, folds=listed.folds.astype(np.int32))
    if not centre:
        return comparisons, accuracy_on_folds(plain.scores, listed.same, listed.folds)
    rows = usable_rows(found)
    under = np.stack([_scored(centred(rows, _mean_without(fold, found, listed)), plain) for fold in numbers])
    own = under[place, np.arange(len(listed))]
    return replace(comparisons, scores=own), accuracy_on_folds(under, listed.same, listed.folds)


def _scored(embeddings: torch.Tensor, pairs: Comparisons) -> NDArray[np.float32]:
    """Scores of the same pairs of other embeddings."""
    scores = score_rows(embeddings, pairs.first, pairs.second)
    return scores if pairs.failed is None else count_as_wrong(scores, pairs.genuine, pairs.failed)


def _mean_without(fold: int, found: Embedded, listed: PairList) -> torch.Tensor:
    """Mean embedding of the pictures in other folds' pairs, each counted once."""
    elsewhere = listed.folds != fold
    used = np.zeros(len(found), dtype=np.bool_)
    used[listed.first[elsewhere]] = used[listed.second[elsewhere]] = True
    return found.embeddings[torch.from_numpy(used & ~found.failed)].mean(dim=0)


def _require_both_kinds(listed: PairList, file: Path) -> None:
    """Refuse pairs that cannot be measured before their pictures are embedded, which takes minutes.

    Raises:
        InputError: as :func:`facenet.evaluation.folds.fold_parts`, or without folds one kind of pair only.
    """
    if len(np.unique(listed.folds)) > 1:
        deque(fold_parts(listed.same, listed.folds), maxlen=0)
    elif listed.same.all() or not listed.same.any():
        missing = "impostor" if listed.same.all() else "genuine"
        raise InputError(f"{printable(file)} holds no {missing} pair: both kinds are needed")


def _begins_as_lfw(file: Path) -> bool:
    """Whether the first line of a file of pairs, which could be read, holds numbers and not the header of a CSV."""
    with file.open("rb") as stream:
        return all(word.isdigit() for word in stream.readline(100).removeprefix(b"\xef\xbb\xbf").split())


def _same_bytes(listed: PairList, found: Embedded) -> list[str]:
    contents = np.array(found.contents)
    one, other = contents[listed.first], contents[listed.second]
    twins = int(np.count_nonzero((one == other) & (one != "")))
    return [f"{twins:,} pairs compare a picture with a copy of itself, byte for byte"] if twins else []


def verification_study(
    embedder: Embedder,
    data: Path,
    *,
    most: int = 2_000_000,
    targets: Sequence[float] = TARGETS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """All pairs of pictures of a folder of people, or a uniform sample of each kind.

    Args:
        embedder: the network.
        data: folder of people.
        most: largest number of pairs; see :func:`facenet.evaluation.pairs.all_or_sampled_pairs`.
        targets: false match rates.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        MissingError, InputError: no such folder, pictures that cannot be used, one person only, nobody with two
            pictures.
    """
    notices: list[str] = []
    folder, found = embed_people(scan_folder(data), embedder, reading, progress, notices)
    paths = np.array(folder.paths, dtype=object)
    pairs = all_or_sampled_pairs(folder.labels, most=most, seed=judging.seed, keys=paths)
    if not pairs.genuine_pairs or not pairs.impostor_pairs:
        raise InputError(
            f"verification needs two people, and somebody with two different pictures: {printable(data)} has "
            f"{len(folder.people):,} people with {len(folder):,} pictures"
        )
    comparisons = compare_pictures(found, pairs.first, pairs.second, pairs.genuine, folder.labels)
    possible = sum(count_pairs(folder.labels))
    how = "all pairs" if len(pairs) == possible else f"a uniform sample of each kind, out of {possible:,} pairs"
    counts = {"pictures": len(folder), "people": len(folder.people), "states": found.counts()}
    rules = ["accepted if score >= threshold", how]
    people = tuple(folder.people[label] for label in folder.labels)
    study = judged(
        comparisons,
        Protocol("verification", "Verification of a folder's people", folder.paths, people),
        judging,
        label=label_of(embedder, judging),
        about=about(embedder, reading, judging, data={"pictures": data}, counts=counts, rules=rules),
        notices=notices,
        targets=targets,
    )
    return replace(
        study,
        embeddings=usable_rows(found),
        owners=comparisons.owners,
        people=folder.people,
        pictures=pictures_of(found),
    )
