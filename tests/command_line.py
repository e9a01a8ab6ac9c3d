"""How a command line ended, for the tests of commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong, which is the last."""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        wrong = [line for line in lines if line.startswith("error: ") or ": error: " in line]
        assert len(wrong) == 1 and lines[-1] == wrong[0], self.err
        return wrong[0]

    @property
    def document(self) -> Any:
        """The one JSON document, ASCII only."""
        assert "Traceback" not in self.err
        assert self.out.isascii()
        return json.loads(self.out)


Main = Callable[..., Ended]
Model = tuple[str, ...]
"""Flags that name a network."""
