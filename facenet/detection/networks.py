"""MTCNN's three networks with facenet-pytorch's weights, laid out so that they run fast on a processor.

Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks, IEEE
Signal Processing Letters 23(10), 2016, arXiv 1604.02878.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facenet.errors import WeightsError, printable

SIDE = 12
"""What the proposal network sees of a picture for each of its answers, in pixels; it moves on by STRIDE."""

STRIDE = 2

_AHEAD = SIDE - STRIDE
_NARROWED = 4
"""Rows and columns that the two 3×3 convolutions after the pooling take away."""


class ProposalNetwork(nn.Module):
    """PNet, fully convolutional: is there a face in this 12×12 window, and how does its box differ from the window?

    The same function as facenet-pytorch's, in fewer passes over memory, for on maps this shallow memory is what takes
    the time. Its first PReLU comes before a max pooling, and where the slope is at least 0 the two may change places,
    so that PReLU sees a quarter of the values. Where the slope ``a`` is negative, ``prelu(x) = max(x, a·x)``; a
    second copy of these filters, multiplied by ``a``, is pooled beside the first, and the larger of both is taken. Of
    the ten slopes six are negative, which makes sixteen filters: just one vector of the processor.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Rearrange the weights of facenet-pytorch's PNet."""
        super().__init__()
        slopes, weight, bias = (weights[name] for name in ("prelu1.weight", "conv1.weight", "conv1.bias"))
        rising, falling = (slopes >= 0).nonzero().flatten(), (slopes < 0).nonzero().flatten()
        order, turned = torch.cat([rising, falling]), slopes[falling]
        self.rising, self.falling = len(rising), len(falling)
        self.weight1 = nn.Parameter(torch.cat([weight[order], weight[falling] * turned[:, None, None, None]]))
        self.bias1 = nn.Parameter(torch.cat([bias[order], bias[falling] * turned]))
        self.slope1 = nn.Parameter(slopes[rising])
        self.weight2, self.bias2 = nn.Parameter(weights["conv2.weight"][:, order]), nn.Parameter(weights["conv2.bias"])
        self.slope2 = nn.Parameter(weights["prelu2.weight"])
        self.weight3, self.bias3 = nn.Parameter(weights["conv3.weight"]), nn.Parameter(weights["conv3.bias"])
        self.slope3 = nn.Parameter(weights["prelu3.weight"])
        # Both of the last layers see the same input: one convolution.
        self.weight4 = nn.Parameter(torch.cat([weights["conv4_1.weight"], weights["conv4_2.weight"]]))
        self.bias4 = nn.Parameter(torch.cat([weights["conv4_1.bias"], weights["conv4_2.bias"]]))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of pictures.

        Args:
            pictures: ``float32 (n, 3, h, w)``, ``h`` and ``w`` at least 12, ``(x - 127.5) / 128``.

        Returns:
            ``float32 (n, rows, columns)``, the probability in ``[0, 1]`` of a face, and ``float32 (n, 4, rows,
            columns)``, by what share of the window's size its left, top, right and bottom edges are to be moved.
        """
        x = functional.conv2d(pictures, self.weight1, self.bias1)
        x = functional.max_pool2d(x, 2, 2, ceil_mode=True)
        rising, falling, turned = x.split([self.rising, self.falling, self.falling], dim=1)
        x = torch.cat([functional.prelu(rising, self.slope1), torch.maximum(falling, turned)], dim=1)
        x = functional.prelu(functional.conv2d(x, self.weight2, self.bias2), self.slope2)
        x = functional.prelu(functional.conv2d(x, self.weight3, self.bias3), self.slope3)
        x = functional.conv2d(x, self.weight4, self.bias4)
        return torch.sigmoid(x[:, 1] - x[:, 0]), x[:, 2:]


def answers(length: int) -> int:
    """How many windows the proposal network answers for along a side of ``length`` pixels, at least 12.

    The pooling rounds up: of an odd side the last window reaches one pixel over the edge.
    """
    return -(-(length - 2) // STRIDE) - _NARROWED


def pixels_for(windows: slice, length: int) -> slice:
    """The pixels that answers ``windows.start`` to ``windows.stop`` are computed from, along a side of ``length``."""
    return slice(STRIDE * windows.start, min(length, STRIDE * windows.stop + _AHEAD))


def load_networks(device: torch.device) -> tuple[ProposalNetwork, nn.Module, nn.Module]:
    """Proposal, refinement and output network, for inference, channels last.

    The second takes ``float32 (k, 3, 24, 24)`` and gives the box's correction ``(k, 4)`` and ``(k, 2)``: the
    probability of no face and of a face. The third takes ``float32 (k, 3, 48, 48)`` and gives the correction, the five
    landmarks ``(k, 10)`` (first all x, then all y) as shares of the box, and the probabilities.

    Raises:
        WeightsError: facenet-pytorch's weight files are missing or damaged.
    """
    # Imported only here: it takes a second, and most commands look for no faces.
    from facenet_pytorch.models.mtcnn import ONet, RNet

    rnet, onet = RNet(pretrained=False), ONet(pretrained=False)
    try:
        proposing = ProposalNetwork(_read_weights("pnet.pt"))
        rnet.load_state_dict(_read_weights("rnet.pt"))
        onet.load_state_dict(_read_weights("onet.pt"))
    except (RuntimeError, KeyError, IndexError) as error:
        raise WeightsError("the face detector's weights do not fit: install facenet-pytorch again") from error
    networks = [network.eval().requires_grad_(False).to(device) for network in (proposing, rnet, onet)]
    proposing, rnet, onet = (network.to(memory_format=torch.channels_last) for network in networks)
    return proposing, rnet, onet


def _read_weights(name: str) -> dict[str, Tensor]:
    """Read a weight file that comes with facenet-pytorch, which itself would load it as a pickle that may run code."""
    specification = importlib.util.find_spec("facenet_pytorch")
    if specification is None or specification.origin is None:
        raise WeightsError("facenet-pytorch, which brings the face detector's weights, is not installed")
    path = Path(specification.origin).parent / "data" / name
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"the face detector's weights {printable(path)} cannot be read: install facenet-pytorch again"
        ) from error
    return weights
