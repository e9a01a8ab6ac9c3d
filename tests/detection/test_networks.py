"""The rearranged proposal network against facenet-pytorch's, and its weight files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

from facenet.detection import networks
from facenet.detection.networks import answers, load_networks, pixels_for
from facenet.errors import WeightsError

CPU = torch.device("cpu")


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("size", [(12, 12), (12, 13), (13, 12), (25, 38), (37, 24), (71, 90)])
def test_proposals_are_the_originals(size: tuple[int, int]) -> None:
    pictures = noise(2, 3, *size) * 2
    with torch.inference_mode():
        shares, probabilities = PNet()(pictures)
        scores, own_shares = load_networks(CPU)[0](pictures.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(scores, probabilities[:, 1], rtol=0, atol=1e-5)
    torch.testing.assert_close(own_shares, shares, rtol=0, atol=1e-5)
    assert scores.shape == (2, answers(size[0]), answers(size[1]))


@pytest.mark.parametrize("height", [30, 31, 32, 33])
def test_strips_of_a_picture_answer_as_the_whole_does(height: int) -> None:
    network, pictures = load_networks(CPU)[0], noise(1, 3, height, 20)
    with torch.inference_mode():
        whole = network(pictures)[0]
        for start in range(0, answers(height), 4):
            strip = slice(start, min(start + 4, answers(height)))
            part = network(pictures[:, :, pixels_for(strip, height)])[0]
            torch.testing.assert_close(part, whole[:, strip], rtol=0, atol=1e-5)


def test_the_other_networks_hold_the_originals_weights() -> None:
    _, rnet, onet = load_networks(CPU)
    for own, original in ((rnet, RNet()), (onet, ONet())):
        assert not own.training
        for name, values in original.state_dict().items():
            assert torch.equal(own.state_dict()[name], values)


class _Elsewhere:
    def __init__(self, folder: Path) -> None:
        self.origin = str(folder / "__init__.py")


@pytest.mark.parametrize("content", [None, b"", b"not weights"])
def test_missing_and_damaged_weights_are_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: _Elsewhere(tmp_path))
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "pnet.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"pnet\.pt.*install facenet-pytorch again"):
        load_networks(CPU)


def test_weights_of_something_else_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda name: _Elsewhere(tmp_path))
    (tmp_path / "data").mkdir()
    for name in ("pnet.pt", "rnet.pt", "onet.pt"):
        torch.save(RNet(pretrained=False).state_dict(), tmp_path / "data" / name)
    with pytest.raises(WeightsError, match="do not fit"):
        load_networks(CPU)
