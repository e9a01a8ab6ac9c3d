"""What a training run says about its pictures: whole photos as they are, or faces cut out in a known way."""

from __future__ import annotations

from pathlib import Path

from facenet.data.alignments import declared_contract
from facenet.errors import InputError, UsageError, printable
from facenet.models.backbone import Backbone
from facenet.preprocessing import Preprocessing


def training_contract(trunk: Backbone, root: Path, *, aligned: bool) -> Preprocessing:
    """The contract a new trunk is trained under, so that later photos are cut as its training pictures were.

    Args:
        trunk: new, with its architecture's contract.
        root: folder of people. If ``dataset align`` wrote it, it says itself how its faces were cut.
        aligned: the person says that the pictures are cut as the architecture's published weights want them.

    Raises:
        InputError: the faces in ``root`` were cut in a way this network's input size cannot use.
        UsageError: ``aligned`` contradicts what the folder says.
    """
    declared = declared_contract(root)
    if declared is None:
        return trunk.preprocessing.for_photos(trunk.photo_crop) if aligned else trunk.preprocessing
    if aligned and declared.crop != trunk.photo_crop:
        raise UsageError(
            f"--aligned means {trunk.photo_crop} for {trunk.architecture}, but the faces in {printable(root)} were cut "
            f"by {declared.crop}: leave --aligned out to train on them as they are"
        )
    wanted = trunk.preprocessing.for_photos(declared.crop)
    if not same_cut(declared, wanted):
        raise InputError(
            f"the faces in {printable(root)} were cut for {declared.height}x{declared.width} pixels ({declared.crop}), "
            f"{trunk.architecture} takes {wanted.height}x{wanted.width}: cut them again with "
            f"`dataset align SRC DST --size {wanted.height}x{wanted.width} --crop {declared.crop}`"
        )
    return wanted


def same_cut(made: Preprocessing, wanted: Preprocessing) -> bool:
    """Whether faces cut under one contract, scaled to the other's size, are faces cut under the other.

    The five-point template scales with the height and is centred across, so what is at least as wide in proportion
    holds what is narrower. A margin is counted in pixels of the input, so there the sizes must agree.
    """
    if (made.detector, made.crop) != (wanted.detector, wanted.crop):
        return False
    if made.crop == "five-point":
        return made.width * wanted.height >= wanted.width * made.height
    return (made.height, made.width) == (wanted.height, wanted.width)
