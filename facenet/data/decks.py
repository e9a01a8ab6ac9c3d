"""Drawing without replacement, resumable exactly: what every sampler is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch


class Decks:
    """Several decks of cards, drawn from without replacement and reshuffled when used up.

    All decks lie in one flat array, so that the state of a million of them is two tensors.

    Args:
        decks: ``int (size,)`` each.
        rng: shuffles; its state is saved with the decks'.
    """

    def __init__(self, decks: Sequence[np.ndarray], rng: np.random.Generator) -> None:
        self.rng = rng
        self.start = np.concatenate([[0], np.cumsum([len(deck) for deck in decks])]).astype(np.int64)
        self.cards = np.concatenate([rng.permutation(deck) for deck in decks]).astype(np.int64)
        self.cursor = np.zeros(len(decks), dtype=np.int64)

    def size(self, deck: int) -> int:
        return int(self.start[deck + 1] - self.start[deck])

    def take(self, deck: int, count: int) -> np.ndarray:
        """The next ``count`` cards, all different; ``count`` is at most the deck's size.

        Counting from a fresh deck, every card comes exactly once in every ``size`` cards.
        """
        cards = self.cards[self.start[deck] : self.start[deck + 1]]
        at = int(self.cursor[deck])
        taken = cards[at : at + count].copy()
        missing = count - len(taken)
        if missing:
            # What this hand holds already goes behind the cards that complete it.
            shuffled = self.rng.permutation(cards)
            fresh = np.flatnonzero(~np.isin(shuffled, taken))[:missing]
            cards[:missing] = shuffled[fresh]
            cards[missing:] = np.delete(shuffled, fresh)
            taken = np.concatenate([taken, cards[:missing]])
            self.cursor[deck] = missing
        else:
            self.cursor[deck] = at + count
        return taken

    def state_dict(self) -> dict[str, Any]:
        """Order of all cards, what was drawn, and the generator: numbers, strings and tensors only."""
        return {
            "rng": _plain(self.rng.bit_generator.state),
            "cards": torch.from_numpy(self.cards.copy()),
            "cursor": torch.from_numpy(self.cursor.copy()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called; the decks must be the same."""
        self.rng.bit_generator.state = state["rng"]
        self.cards[:] = state["cards"].numpy()
        self.cursor[:] = state["cursor"].numpy()


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A generator's state as nested dictionaries of int and str."""
    return {
        key: _plain(value) if isinstance(value, Mapping) else value if isinstance(value, str) else int(value)
        for key, value in state.items()
    }
