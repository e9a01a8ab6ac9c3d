"""The worst errors, to be looked at: pairs and searches by score, with the faces that were compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.report.markup import Html, element, join, name, paragraph, section, text
from facenet.evaluation.report.page import Part
from facenet.evaluation.report.tiles import tile
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Pictures, Study

MOST = 12
"""Examples of one kind."""

_MOST_OF_ONE = 2
"""Examples with one picture: a single bad picture would else fill the page."""

_LOOKED_AT = 2000


@dataclass(frozen=True)
class Example:
    """Two pictures that were compared, or one alone.

    Attributes:
        samples: one or two, the pictures shown.
        score: of the comparison; None where it says nothing.
        note: what happened.
        wrong: whether it is an error at the operating threshold.
    """

    samples: tuple[int, ...]
    score: float | None
    note: str
    wrong: bool


def examples(study: Study) -> list[Part]:
    """The worst errors of a study; nothing where its pictures or its threshold are not known."""
    pictures = study.pictures
    if pictures is None or len(pictures.paths) != len(study.samples):
        return []
    groups: list[tuple[str, str, list[Example]]] = []
    threshold = study.operating_threshold
    if study.comparisons is not None and threshold is not None:
        groups += _of_comparisons(study.comparisons, threshold)
    if study.searches is not None and threshold is not None:
        groups += _of_searches(study, study.searches, threshold)
    groups += _of_decisions(study)
    content: list[Html] = []
    for title, words, found in groups:
        content += [element("h3", text(title)), paragraph(text(words))]
        if found:
            shown = join(_item(study, pictures, example) for example in found)
            content.append(element("ul", shown, class_="pairs"))
    return [Part("errors", "Worst errors", section("errors", "Worst errors", *content))] if groups else []


def _of_comparisons(found: Comparisons, threshold: float) -> list[tuple[str, str, list[Example]]]:
    made = np.ones(len(found), dtype=np.bool_) if found.failed is None else ~found.failed
    accepted = found.scores >= threshold
    impostors, genuine = made & ~found.genuine, made & found.genuine
    groups = []
    for kind, wrong, sign, words in (
        (impostors, accepted, -1, "pairs of two people are accepted"),
        (genuine, ~accepted, 1, "pairs of one person are rejected"),
    ):
        order = _first(np.flatnonzero(kind), sign * found.scores)
        chosen = _spread(order, ((int(found.first[pair]), int(found.second[pair])) for pair in order))
        shown = [
            Example(
                (int(found.first[pair]), int(found.second[pair])), float(found.scores[pair]),
                ("accepted" if accepted[pair] else "rejected") + ("" if wrong[pair] else ", rightly"),
                bool(wrong[pair]),
            )
            for pair in chosen
        ]  # fmt: skip
        errors, all_of_them = int(np.count_nonzero(kind & wrong)), int(np.count_nonzero(kind))
        most = "highest" if sign < 0 else "lowest"
        title = "False accepts" if sign < 0 else "False rejects"
        line = f"{errors:,} of {all_of_them:,} {words} at the threshold of {threshold:.3f}. Shown: the {most} scores"
        groups.append((title, line + _limits(errors, len(shown)), shown))
    return groups


def _limits(errors: int, shown: int) -> str:
    nearest = ", which are no errors" if errors == 0 else " (those that are no errors say so)" if errors < shown else ""
    return f"{nearest}; no picture more than twice."


def _of_searches(study: Study, found: Searches, threshold: float) -> list[tuple[str, str, list[Example]]]:
    groups = []
    if found.strangers:
        alarms = found.stranger_scores >= threshold
        order = _first(np.arange(found.strangers), -found.stranger_scores)
        chosen = _spread(order, ((int(found.stranger_samples[search]),) for search in order))
        shown = [
            Example(
                _with_candidate(study, found, int(found.stranger_samples[s]), int(found.stranger_matches[s])),
                float(found.stranger_scores[s]),
                f"a stranger, {'taken for' if alarms[s] else 'rightly not taken for'} "
                f"{_candidate(study, found, int(found.stranger_matches[s]))}",
                bool(alarms[s]),
            )
            for s in chosen
        ]  # fmt: skip
        errors = int(np.count_nonzero(alarms))
        line = f"{errors:,} of {found.strangers:,} searches by strangers return somebody at the threshold of "
        groups.append(("False positives", f"{line}{threshold:.3f}. Shown: the highest scores" + _limits(
            errors, len(shown)), shown))  # fmt: skip
    if found.mated:
        misses = (found.own_scores < threshold) | (found.ranks > 1)
        order = _first(np.flatnonzero(misses), found.own_scores - found.other_scores)
        chosen = _spread(order, ((int(found.mated_samples[search]),) for search in order))
        shown = [
            Example(
                (int(found.mated_samples[s]),), float(found.own_scores[s]),
                f"right person at rank {found.ranks[s]:,}; best other, "
                f"{_candidate(study, found, int(found.other_people[s]))}, scores {found.other_scores[s]:.3f}",
                True,
            )
            for s in chosen
        ]  # fmt: skip
        errors = int(np.count_nonzero(misses))
        line = f"{errors:,} of {found.mated:,} searches by enrolled people do not return them, first and above the "
        tail = "threshold." + (" Shown: those that are farthest from it." if shown else "")
        groups.append(("False negatives", line + tail, shown))
    return groups


def _with_candidate(study: Study, found: Searches, sample: int, person: int) -> tuple[int, ...]:
    """The picture that was searched with and, where it is known, one of the person it was taken for."""
    owners = study.owners
    if owners is None or len(owners) != len(study.samples) or len(study.people) < found.enrolled:
        return (sample,)
    theirs = np.flatnonzero(owners == person)
    return (sample, int(theirs[0])) if len(theirs) else (sample,)


def _candidate(study: Study, found: Searches, person: int) -> str:
    known = 0 <= person < len(study.people) and len(study.people) >= found.enrolled
    return study.people[person] if known else f"person {person}"


def _of_decisions(study: Study) -> list[tuple[str, str, list[Example]]]:
    found = study.classification
    if found is None or len(found.labels) != len(study.samples):
        return []
    wrong = found.labels != found.decided
    order = _first(np.flatnonzero(wrong), -found.confidences)[:MOST]
    shown = [
        Example(
            (int(picture),), None,
            f"{found.people[found.labels[picture]]}, taken for {found.people[found.decided[picture]]} "
            f"with a confidence of {100 * found.confidences[picture]:.1f} %",
            True,
        )
        for picture in order
    ]  # fmt: skip
    errors = int(np.count_nonzero(wrong))
    tail = " Shown: those with the highest confidence." if shown else ""
    return [("Wrong decisions", f"{errors:,} of {found.pictures:,} pictures are given to somebody else.{tail}", shown)]


def _first(which: NDArray[np.intp], keys: NDArray[np.float32]) -> NDArray[np.intp]:
    """Those with the smallest keys, in order; equal ones by place."""
    if len(which) > _LOOKED_AT:
        limit = np.partition(keys[which], _LOOKED_AT)[_LOOKED_AT]
        which = which[keys[which] <= limit][: 2 * _LOOKED_AT]
    return which[np.argsort(keys[which], kind="stable")][:_LOOKED_AT]


def _spread(order: Sequence[int] | NDArray[np.intp], samples: Iterable[tuple[int, ...]]) -> list[int]:
    """The first few in this order, none with a picture that was shown often enough."""
    seen: Counter[int] = Counter()
    chosen: list[int] = []
    for item, shown in zip(order, samples, strict=True):
        if len(chosen) == MOST:
            break
        if all(seen[sample] < _MOST_OF_ONE for sample in shown):
            seen.update(shown)
            chosen.append(int(item))
    return chosen


def _item(study: Study, pictures: Pictures, example: Example) -> Html:
    tiles = join((tile(pictures, sample, _caption(study, sample)) for sample in example.samples), "")
    score = "" if example.score is None else f"{example.score:.3f} · "
    what = paragraph(
        Html(element("b", text(score)) + text(example.note)) if score else text(example.note),
        **({"class_": "wrong"} if example.wrong else {}),
    )
    names = join((name(study.samples[sample]) for sample in example.samples), " · ")
    return element("li", join([element("div", tiles, class_="two"), what, paragraph(names, class_="small")], ""))


def _caption(study: Study, sample: int) -> str:
    return f"Face of {study.samples[sample]}"
