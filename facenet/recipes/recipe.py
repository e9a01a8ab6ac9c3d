"""Recipes: named settings of a training run, each one TOML file of numbers and names without code.

``NAME.toml`` beside this module is the recipe ``NAME``; a file of one's own is named by its path. A recipe holds::

    summary = "one line for people"
    differs = ["what is done differently here, and why"]   # optional
    most_classes = 1001                                    # optional: more than these is warned about

    [settings]     # fields of facenet.training.config.TrainingConfig; task is needed
    [holdout]      # fields of facenet.data.splits.Holdout; optional
    [published]    # plain facts that its authors report, with their units; optional
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from facenet.data.splits import Holdout
from facenet.errors import InputError, MissingError, UsageError, printable
from facenet.models.input_size import canonical_size
from facenet.training.config import TrainingConfig

MOST_BYTES = 64 * 1024
"""A recipe is a page of numbers: a larger file is something else."""

_LARGEST = 2**53
"""TOML's whole numbers have no limit; all up to this one are floating-point numbers too."""

_SUFFIX = ".toml"
_SECTIONS = ("summary", "differs", "most_classes", "settings", "holdout", "published")
_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}


@dataclass(frozen=True)
class Recipe:
    """One recipe, checked.

    Attributes:
        name: of the file, without ``.toml``.
        summary: one line for people, may be empty.
        published: facts that its authors report.
        differs: what is done differently here, and why.
        settings: fields of :class:`TrainingConfig` that it sets, among them ``task``.
        holdout: fields of :class:`Holdout` that it sets; None: it says nothing about what is held out.
        most_classes: largest number of people (or classes) it was published for; None: no limit.
        sha256: of the file.
        path: of a user's own file; None for the package's.
    """

    name: str
    summary: str
    published: Mapping[str, str | int | float | bool]
    differs: tuple[str, ...]
    settings: Mapping[str, Any]
    holdout: Mapping[str, Any] | None
    most_classes: int | None
    sha256: str
    path: str | None = None

    @property
    def task(self) -> str:
        """What it trains."""
        task: str = self.settings["task"]
        return task

    @property
    def words(self) -> str:
        """What ``--recipe`` takes to mean this recipe."""
        return self.name if self.path is None else self.path

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "name": self.name,
            "summary": self.summary,
            "settings": dict(self.settings),
            "holdout": None if self.holdout is None else dict(self.holdout),
            "most_classes": self.most_classes,
            "published": dict(self.published),
            "differs": list(self.differs),
            "sha256": self.sha256,
            "path": self.path,
        }


def recipe_names() -> list[str]:
    """Names of the package's recipes, sorted; whatever ``.toml`` lies in this package is one."""
    return sorted(
        entry.name.removesuffix(_SUFFIX)
        for entry in resources.files(__package__).iterdir()
        if entry.name.endswith(_SUFFIX)
    )


def load_recipe(name_or_path: str) -> Recipe:
    """Read and check a recipe.

    Args:
        name_or_path: one of :func:`recipe_names`, or the path of a user's own file: whatever holds a separator or
            ends in ``.toml``.

    Raises:
        UsageError: no such recipe (names the nearest), or it sets what there is not, or to an impossible value.
        MissingError: no file at that path.
        InputError: the file is too large or no TOML; says in which line.
    """
    if is_path(name_or_path):
        path = Path(name_or_path)
        return parse_recipe(path.stem, _read_own(path), path=name_or_path)
    if name_or_path not in recipe_names():
        raise UsageError(
            f"unknown recipe '{printable(name_or_path)}'{nearest(name_or_path, recipe_names())}: "
            "see `python cli.py train --list`"
        )
    return parse_recipe(name_or_path, (resources.files(__package__) / f"{name_or_path}{_SUFFIX}").read_bytes())


def is_path(name_or_path: str) -> bool:
    """Whether it names a file rather than one of the package's recipes."""
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator is not None]
    return name_or_path.endswith(_SUFFIX) or any(separator in name_or_path for separator in separators)


def parse_recipe(name: str, data: bytes, *, path: str | None = None) -> Recipe:
    """Make a recipe of a file's bytes; see :func:`load_recipe` for the errors."""
    where = f"recipe {printable(name if path is None else path)}"
    try:
        # Some editors begin a file with a mark that is no text.
        document = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{where} is no TOML: not UTF-8 (at line {line})") from error
    except (ValueError, RecursionError) as error:
        # Besides malformed text: integers of thousands of digits, and brackets within brackets without end.
        raise InputError(f"{where} is no TOML: {printable(error)}") from error
    _known(where, "", document, _SECTIONS)
    settings = _settings(where, document.get("settings", {}))
    holdout = _holdout(where, document["holdout"]) if "holdout" in document else None
    return Recipe(
        name=name,
        summary=_plain(where, "summary", document.get("summary", ""), "str"),
        published=_facts(where, document.get("published", {})),
        differs=_texts(where, "differs", document.get("differs", [])),
        settings=settings,
        holdout=holdout,
        most_classes=_most_classes(where, document),
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean NAME?)`` for a name that is like known ones, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _read_own(path: Path) -> bytes:
    # Unlike Path.is_file, this says no to names that no file can have.
    if not os.path.isfile(path):
        what = "a folder and no recipe file" if os.path.isdir(path) else "no recipe file"
        raise MissingError(f"{what} at {printable(path)}: see `python cli.py train --list` for recipes by name")
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise MissingError(f"recipe {printable(path)} cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"recipe {printable(path)} is larger than {MOST_BYTES:,} bytes: a recipe is a page of numbers")
    return data


def _settings(where: str, table: object) -> dict[str, Any]:
    """``[settings]``, checked as far as that goes without loading what trains."""
    if isinstance(table, dict) and type(table.get("image_size")) is int:
        # One number is a size as well, which other settings would write without quotes.
        table = {**table, "image_size": str(table["image_size"])}
    settings = _typed(where, "settings", table, fields(TrainingConfig))
    if "task" not in settings:
        raise UsageError(f'{where}: [settings] must say which task it trains, such as task = "triplet"')
    try:
        if "image_size" in settings:
            settings["image_size"] = canonical_size(settings["image_size"])
    except UsageError as error:
        raise UsageError(f"{where}: settings.image_size: {error}") from error
    try:
        TrainingConfig(**settings)
    except UsageError as error:
        raise UsageError(f"{where}: {by_key(str(error))}") from error
    return settings


def by_key(message: str) -> str:
    """A message about flags, in the words of a recipe: ``--ep must be`` → ``settings.epochs must be``."""
    keys = {"--" + field.name.replace("_", "-"): field.name for field in fields(TrainingConfig)}
    keys |= {"--ep": "epochs", "--bs": "batch_size"}
    return re.sub(r"--[a-z-]+", lambda flag: f"settings.{keys[flag[0]]}" if flag[0] in keys else flag[0], message)


def _holdout(where: str, table: object) -> dict[str, Any]:
    """``[holdout]``, in which no key may be one that its kind or another key makes void."""
    holdout = _typed(where, "holdout", table, fields(Holdout))
    try:
        kind = Holdout(**holdout).kind
    except UsageError as error:
        raise UsageError(f"{where}: holdout: {error}") from error
    if "people" in holdout and kind != "people":
        raise UsageError(f'{where}: holdout.people goes with kind = "people"')
    if "people" in holdout and "names" in holdout:
        raise UsageError(f"{where}: holdout.people and holdout.names are two ways to say who: keep one of them")
    if "images" in holdout and kind == "folder":
        raise UsageError(f'{where}: holdout.images goes with kind = "images" or "people"')
    return holdout


def _known(where: str, section: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    names = list(known)
    place = f" in [{section}]" if section else ""
    for key in table:
        if key in names:
            continue
        if not section and key in TrainingConfig.__dataclass_fields__:
            raise UsageError(f"{where}: '{key}' belongs below [settings]")
        raise UsageError(
            f"{where}: unknown key '{printable(key)}'{place}{nearest(key, names)}: known are {', '.join(names)}"
        )


def _typed(where: str, section: str, table: object, known: Iterable[Field[Any]]) -> dict[str, Any]:
    """A section's values, each of the type that its field is annotated with."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {section} must be a section, [{section}]")
    types = {field.name: str(field.type) for field in known}
    _known(where, section, table, types)
    return {key: _value(where, f"{section}.{key}", value, types[key]) for key, value in table.items()}


def _value(where: str, key: str, value: object, kind: str) -> Any:
    if kind.startswith("tuple"):
        return _texts(where, key, value)
    if " | " in kind:
        # Of a share and a number, TOML's own two types tell which is meant.
        return _plain(where, key, value, "int" if isinstance(value, int) else "float")
    return _plain(where, key, value, kind)


def _plain(where: str, key: str, value: object, kind: str) -> Any:
    """``value`` if it is of that type; a whole number is a number too, but true is no number."""
    right = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
    }[kind]
    if right and isinstance(value, int) and abs(value) > _LARGEST:
        raise UsageError(f"{where}: {key} is larger than any number that makes sense here")
    if not right:
        raise UsageError(f"{where}: {key} must be {_WORDS[kind]}, not {printable(repr(value))[:80]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where}: {key} must be a finite number, not {value}")
    return float(value) if isinstance(value, int) and kind == "float" else value


def _texts(where: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{where}: {key} must be a list of texts, not {printable(repr(value))[:80]}")
    return tuple(value)


def _facts(where: str, table: object) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: published must be a section, [published]")
    for key, value in table.items():
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise UsageError(f"{where}: published.{printable(key)} must be a finite number or a text")
    return table


def _most_classes(where: str, document: Mapping[str, Any]) -> int | None:
    if "most_classes" not in document:
        return None
    most: int = _plain(where, "most_classes", document["most_classes"], "int")
    if most < 1:
        raise UsageError(f"{where}: most_classes must be at least 1, not {most}")
    return most
