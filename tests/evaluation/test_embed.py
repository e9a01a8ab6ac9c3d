"""A folder of pictures becomes a table of embeddings: the right rows, in order, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from toys import ToyBackbone

from facenet.data.folders import Folder, scan_folder
from facenet.errors import UnreadableImage, UsageError
from facenet.evaluation.embed import embed_folder
from facenet.models.backbone import Backbone
from facenet.models.inference import InferenceTrunk
from facenet.models.registry import build_backbone
from facenet.preprocessing import stack_faces

PEOPLE = {"Ada": 4, "Bob": 1, "Cem": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Eleven pictures of different sizes, in three formats."""
    root = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    for person, pictures in PEOPLE.items():
        (root / person).mkdir()
        for number in range(pictures):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            suffix = ("png", "jpg", "webp")[number % 3]
            size = (60 + 5 * number, 70)
            coarse.resize(size, Image.Resampling.BICUBIC).save(root / person / f"{number}.{suffix}")
    return scan_folder(root)


@pytest.fixture(scope="module")
def trunk() -> Backbone:
    """A toy network whose batch normalisation holds statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = ToyBackbone()
    generator = torch.Generator().manual_seed(0)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 2, generator=generator)
            for values in (module.bias, module.running_mean):
                nn.init.uniform_(values, -0.5, 0.5, generator=generator)
    return trunk


def one_by_one(trunk: Backbone, folder: Folder) -> Tensor:
    trunk.eval()
    rows = []
    with torch.no_grad():
        for path in folder.paths:
            face = trunk.preprocessing.load(folder.root / path)
            rows.append(trunk(trunk.preprocessing.normalise(stack_faces([face]))))
    return torch.cat(rows)


def test_equal_to_embedding_one_by_one(trunk: Backbone, folder: Folder) -> None:
    embeddings = embed_folder(trunk, folder, batch_size=4)
    assert embeddings.shape == (11, 16) and embeddings.dtype == torch.float32 and embeddings.device.type == "cpu"
    expected = one_by_one(trunk, folder)
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)
    # No two rows are so near that a wrong order would go unnoticed.
    assert float((expected @ expected.T).fill_diagonal_(-1).max()) < 0.999


def test_a_real_backbone_too(folder: Folder) -> None:
    trunk = build_backbone("mobilefacenet")
    torch.testing.assert_close(embed_folder(trunk, folder), one_by_one(trunk, folder), atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 3, 11, 64])
def test_the_batch_size_does_not_matter(trunk: Backbone, folder: Folder, batch_size: int) -> None:
    embeddings = embed_folder(trunk, folder, batch_size=batch_size)
    torch.testing.assert_close(embeddings, embed_folder(trunk, folder), atol=1e-6, rtol=0)


def test_loading_in_processes_gives_the_same(trunk: Backbone, folder: Folder) -> None:
    embeddings = embed_folder(trunk, folder, batch_size=4, workers=1)
    assert torch.equal(embeddings, embed_folder(trunk, folder, batch_size=4, workers=0))


def test_only_what_is_kept_is_embedded(trunk: Backbone, folder: Folder) -> None:
    keep = np.zeros(11, dtype=bool)
    keep[[0, 3, 7, 8, 10]] = True
    embeddings = embed_folder(trunk, folder, keep=keep, batch_size=2)
    assert embeddings.shape == (11, 16)
    assert embeddings[torch.from_numpy(~keep)].isnan().all()
    torch.testing.assert_close(embeddings[torch.from_numpy(keep)], one_by_one(trunk, folder)[torch.from_numpy(keep)])


def test_keeping_nothing_gives_rows_of_nan(trunk: Backbone, folder: Folder) -> None:
    embeddings = embed_folder(trunk, folder, keep=np.zeros(11, dtype=bool))
    assert embeddings.shape == (11, 16) and embeddings.isnan().all()


def test_a_trunk_made_ready_before_is_taken_as_it_is(trunk: Backbone, folder: Folder) -> None:
    ready = InferenceTrunk(trunk)
    assert torch.equal(embed_folder(ready, folder), embed_folder(trunk, folder))
    # Its own precision counts, not the one named here.
    assert torch.equal(embed_folder(ready, folder, precision="bf16"), embed_folder(ready, folder))


def test_bfloat16_is_near_and_still_unit_float32(trunk: Backbone, folder: Folder) -> None:
    exact, rounded = embed_folder(trunk, folder), embed_folder(trunk, folder, precision="bf16")
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded.norm(dim=1), torch.ones(11), atol=1e-6, rtol=0)
    assert float((rounded * exact).sum(dim=1).min()) > 0.99


def test_the_trunk_stays_as_it_is(trunk: Backbone, folder: Folder) -> None:
    trunk.train()
    before = trunk.fingerprint()
    embed_folder(trunk, folder)
    assert trunk.training and trunk.fingerprint() == before


def test_progress_counts_pictures(trunk: Backbone, folder: Folder) -> None:
    keep = np.arange(11) != 5
    seen: list[tuple[int, int]] = []
    embed_folder(trunk, folder, keep=keep, batch_size=4, progress=lambda done, all_: seen.append((done, all_)))
    assert seen == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_has_become_unreadable_is_named(
    trunk: Backbone, folder: Folder, tmp_path: Path, workers: int
) -> None:
    for number in range(3):
        (tmp_path / "Ada").mkdir(exist_ok=True)
        (tmp_path / "Ada" / f"{number}.png").write_bytes(folder.file(0).read_bytes())
    other = scan_folder(tmp_path)
    (tmp_path / "Ada" / "1.png").write_bytes(b"")
    with pytest.raises(UnreadableImage, match=r"Ada.1\.png: empty"):
        embed_folder(trunk, other, workers=workers)
    kept = embed_folder(trunk, other, keep=np.array([True, False, True]), workers=workers)
    assert kept[[0, 2]].isfinite().all()


def test_an_impossible_batch_size_is_wrong_usage(trunk: Backbone, folder: Folder) -> None:
    with pytest.raises(UsageError, match="a batch of 0"):
        embed_folder(trunk, folder, batch_size=0)
