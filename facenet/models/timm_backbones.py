"""Any network of timm, by its name there; needs the optional package timm."""

from __future__ import annotations

import copy
import difflib

import torch
from torch import Tensor, nn

from facenet.errors import MissingError, UsageError, printable
from facenet.models.backbone import Backbone, named_parts
from facenet.preprocessing import PerChannel, Preprocessing

PREFIX = "timm:"

_REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What layers raise that are given pictures of a size they cannot take."""


class TimmBackbone(Backbone):
    """A network of timm without its classifier: size, mean and deviation of the input are those timm states for it.

    What timm states of interpolation and of cutting the middle out is left to the contract, which knows one
    interpolation for all networks. The weights are random; those that timm's authors publish can be given as a file.

    Args:
        name: as timm knows it, with a tag or without, such as ``"resnet18"`` or ``"resnet18.a1_in1k"``.

    Raises:
        MissingError: timm is not installed.
        UsageError: timm has no such network, or it takes no RGB pictures.
    """

    # Whether a normalisation follows a convolution directly, and is nothing but that, differs from network to network.
    foldable = False

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise MissingError(
                f"{PREFIX}{printable(name)} needs timm, an optional package: pip install 'facenet[timm]'"
            ) from error
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            meant = f": did you mean {' or '.join(PREFIX + other for other in near)}?" if near else ""
            raise UsageError(f"timm has no network {printable(name)}{meant}")
        network = timm.create_model(name, pretrained=False, num_classes=0)
        wanted = timm.data.resolve_model_data_config(network)
        channels, height, width = wanted["input_size"]
        if channels != 3:
            raise UsageError(f"{PREFIX}{name} takes pictures of {channels} channels, not of 3")
        self.architecture = f"{PREFIX}{name}"
        self.photo_crop = f"margin-{round(min(height, width) * 14 / 160)}"
        self.embedding_size = int(getattr(network, "head_hidden_size", network.num_features))
        self.preprocessing = Preprocessing(height, width, mean=_scaled(wanted["mean"]), std=_scaled(wanted["std"]))
        self.network: nn.Module = network

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Weights that belong to no layer, such as a position table, then the layers in order of registration."""
        loose = list(self.network.parameters(recurse=False))
        first = [("loose", nn.ParameterList(loose))] if loose else []
        return first + named_parts(self.network)

    def check_input(self, height: int, width: int) -> None:
        """Make sure that the layers can take pictures of this size, by trying: timm does not say for every network.

        Raises:
            UsageError: they cannot.
        """
        # A copy, for some networks remember what they were given last.
        trial = copy.deepcopy(self).eval()
        zeros = next(self.parameters()).new_zeros(1, 3, height, width)
        try:
            with torch.no_grad():
                shape = tuple(trial.features(zeros).shape)
        except _REFUSALS as error:
            # Some say nothing but what kind they are.
            text = str(error).strip() or type(error).__name__
            reason = printable(text.partition("\n")[0][:160])
            raise UsageError(f"{self.architecture} cannot take pictures of {height}x{width}: {reason}") from error
        if shape != (1, self.embedding_size):
            raise UsageError(f"{self.architecture} gives no embedding of pictures of {height}x{width}")

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` → ``(n, d)``."""
        outputs: Tensor = self.network(inputs)
        return outputs

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Also reads timm's own files, without their classifiers."""
        if any(name.startswith("network.") for name in tensors):
            return super().own_tensors(tensors)
        config = self.network.pretrained_cfg
        assert isinstance(config, dict)
        named = config.get("classifier", ())
        classifiers = tuple(f"{layer}." for layer in ((named,) if isinstance(named, str) else named or ()))
        return {f"network.{name}": tensor for name, tensor in tensors.items() if not name.startswith(classifiers)}


def _scaled(values: tuple[float, ...]) -> PerChannel:
    """timm's figures for values in [0, 1] → the contract's for [0, 255]."""
    red, green, blue = (round(255 * value, 6) for value in values)
    return red if red == green == blue else (red, green, blue)
