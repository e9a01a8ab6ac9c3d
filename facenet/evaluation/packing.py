"""Dataclasses as plain JSON values and arrays, and back, by their type hints: nothing else can come out of a file.

Fields may be texts, numbers, truth values, None, enums of texts, literals, tuples, mappings, numpy arrays, and
dataclasses of these. JSON knows no tuples, no keys that are numbers, and no infinity: a tuple becomes a list, a mapping
a list of pairs, a number that is not finite its name, and an array the name under which it lies among the arrays.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

_NOT_FINITE = ("nan", "inf", "-inf")


def pack(value: object, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Turn a value into what JSON can hold.

    Args:
        value: see the head of this module.
        name: where it stands, such as ``"comparisons"``: what arrays in it are called by.
        arrays: name → array; those in ``value`` are added.

    Raises:
        TypeError: it holds something else.
    """
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if dataclasses.is_dataclass(value):
        fields = (field.name for field in dataclasses.fields(value) if field.init)
        return {field: pack(getattr(value, field), f"{name}.{field}", arrays) for field in fields}
    if isinstance(value, tuple):
        return [pack(item, f"{name}.{place}", arrays) for place, item in enumerate(value)]
    if isinstance(value, Mapping):
        return [
            [pack(key, name, arrays), pack(item, f"{name}.{place}", arrays)]
            for place, (key, item) in enumerate(value.items())
        ]
    raise TypeError(f"{name}: {type(value).__name__} cannot be packed")


def unpack(hint: Any, packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Turn back what :func:`pack` made.

    Args:
        hint: type of the value, as in an annotation, resolved.
        packed: from JSON.
        arrays: name → array.

    Raises:
        ValueError: this is no value of this type; so do the dataclasses' own checks, with errors of their own.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if packed is None else _first_fitting(inner, packed, arrays)
    if origin is Literal and packed in inner:
        return packed
    if origin is tuple and isinstance(packed, list):
        kinds = [inner[0]] * len(packed) if inner[1:] == (...,) else inner
        return tuple(unpack(kind, item, arrays) for kind, item in zip(kinds, packed, strict=True))
    if origin in (dict, Mapping) and isinstance(packed, list):
        return {unpack(inner[0], key, arrays): unpack(inner[1], item, arrays) for key, item in packed}
    if origin is np.ndarray or hint is np.ndarray:
        return _array(inner, packed, arrays)
    if isinstance(hint, type):
        return _plain(hint, packed, arrays)
    raise ValueError(f"{packed!r:.80} is no {hint}")


def _first_fitting(kinds: tuple[Any, ...], packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value by the one hint besides None, or by the first of several it fits."""
    candidates = [kind for kind in kinds if kind is not type(None)]
    for kind in candidates[:-1]:
        try:
            return unpack(kind, packed, arrays)
        except ValueError:
            continue
    return unpack(candidates[-1], packed, arrays)


def _array(inner: tuple[Any, ...], packed: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The array of that name, if it is of the type that is asked for."""
    if not isinstance(packed, str) or packed not in arrays:
        raise ValueError(f"there is no array {packed!r:.80}")
    kind = get_args(inner[1])[0] if inner else np.generic
    array = arrays[packed]
    if not np.issubdtype(array.dtype, get_origin(kind) or kind):
        raise ValueError(f"the array {packed} is {array.dtype}")
    return array


def _plain(hint: type, packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Texts, numbers, enums and dataclasses."""
    if dataclasses.is_dataclass(hint) and isinstance(packed, dict):
        hints = get_type_hints(hint)
        names = {field.name for field in dataclasses.fields(hint) if field.init}
        if set(packed) != names:
            raise ValueError(f"{hint.__name__} has the parts {sorted(names)}, not {sorted(packed)!r:.200}")
        return hint(**{name: unpack(hints[name], item, arrays) for name, item in packed.items()})
    if issubclass(hint, Enum):
        return hint(packed)
    # A whole number is good enough for a float, but true and false are no numbers.
    if hint is float and (packed in _NOT_FINITE or (isinstance(packed, int | float) and not isinstance(packed, bool))):
        return float(packed)
    if hint in (str, int, bool) and type(packed) is hint:
        return packed
    raise ValueError(f"{packed!r:.80} is no {hint.__name__}")
