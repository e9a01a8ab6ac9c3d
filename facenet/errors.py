"""Named errors: what happened, what to do next, and the exit code a command ends with.

Every error a user can cause is a :class:`FacenetError`. Commands print ``str(error)`` on one line and exit with
``error.exit_code``; a traceback is shown only with ``--debug``.
"""

from __future__ import annotations


def printable(name: object) -> str:
    """Return ``name`` fit for a one-line message: control characters and undecodable bytes are shown escaped.

    File and folder names come from outside and may hold newlines, terminal escapes or bytes that are no UTF-8.
    """
    text = str(name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class FacenetError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 3


class UsageError(FacenetError):
    """The call itself is wrong: an unknown name, options that exclude each other."""

    exit_code = 2


class InputError(FacenetError):
    """The data given cannot be used as they are: empty folder, one person only, malformed file."""

    exit_code = 3


class UnreadableImage(InputError):
    """One picture cannot be decoded.

    Attributes:
        reason: short lower-case cause without the file name, such as ``"empty file"``.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"cannot read {printable(path)}: {reason}")
        self.reason = reason


class TrainingDiverged(InputError):
    """The loss is no longer a finite number."""


class EmbeddingCollapse(InputError):
    """All embeddings have become (nearly) the same point."""


class MissingError(FacenetError):
    """A file, a set of weights or an optional package is not there."""

    exit_code = 4


class WeightsError(MissingError):
    """Weights cannot be had or do not fit: not downloaded, damaged, of another network, or a pickle."""


class StorageError(MissingError):
    """A place cannot be written: no permission, no space left."""


class CheckpointError(MissingError):
    """A checkpoint is missing, incomplete or not one of ours."""


class GalleryError(MissingError):
    """A gallery is missing, damaged or not one of ours."""


class ContractError(FacenetError):
    """Two things that must agree on preprocessing, architecture or weights do not."""

    exit_code = 5
