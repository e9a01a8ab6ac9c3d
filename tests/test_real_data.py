"""Real pictures and real weights, where they lie beside the project; nothing of them is written into it.

Figures asserted here are far below what is reached: they tell a working network from a broken one.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facenet.data.audit import audit_folder
from facenet.data.folders import Folder, scan_folder
from facenet.data.splits import Holdout
from facenet.evaluation.embed import embed_folder
from facenet.evaluation.identification import identify
from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
from facenet.evaluation.verification import verify_pairs
from facenet.images import load_image
from facenet.models.registry import build_backbone
from facenet.models.weights import pretrain
from facenet.preprocessing import Preprocessing
from facenet.workflows.evaluate import evaluate_checkpoint
from facenet.workflows.train import Job, Silence, train

PROJECT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FACENET_SHARED", PROJECT.parent / "shared"))
PICTURES, WEIGHTS = SHARED / "data" / "celebrities", SHARED / "weights" / "mobilefacenet_casia.safetensors"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PICTURES.is_dir() and WEIGHTS.is_file()),
        reason=f"no real pictures and weights at {SHARED} (FACENET_SHARED names another place)",
    ),
]

EACH = 20


class Quiet(Silence):
    """Shows nothing, and keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def celebrities() -> Folder:
    return scan_folder(PICTURES)


@pytest.fixture(scope="module")
def few(celebrities: Folder) -> Folder:
    """Twenty pictures of each of the twelve, spread over all there are."""
    keep = np.zeros(len(celebrities), dtype=bool)
    for person in range(len(celebrities.people)):
        own = np.flatnonzero(celebrities.labels == person)
        keep[own[np.linspace(0, len(own) - 1, EACH).astype(int)]] = True
    return celebrities.select(keep)


@pytest.fixture(scope="module")
def embeddings(few: Folder) -> Tensor:
    trunk = build_backbone("mobilefacenet")
    pretrain(trunk, str(WEIGHTS), seed=0)
    return embed_folder(trunk, few)


def test_the_audit_counts_what_is_known_to_be_there(celebrities: Folder) -> None:
    assert len(celebrities) == 5_463 and len(celebrities.people) == 12
    assert (celebrities.counts().min(), celebrities.counts().max()) == (22, 936)
    audit = audit_folder(celebrities)
    assert audit.unreadable == () and audit.conflicts == () and audit.singletons == ()
    assert len(audit.usable.people) == 12
    # Nothing but copies of the same bytes is left out.
    assert 5_463 - len(audit.usable) == len(audit.left_out) == sum(len(group) - 1 for group in audit.exact)
    assert len(audit.usable) > 5_400


def test_the_weights_load_strictly_and_say_where_they_came_from() -> None:
    trunk = build_backbone("mobilefacenet")
    before = trunk.fingerprint()
    origin = pretrain(trunk, str(WEIGHTS), seed=0)
    assert trunk.fingerprint() != before
    assert (origin.kind, origin.source, origin.fallback) == ("file", WEIGHTS.name, False)
    assert origin.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


def test_aligned_pictures_lose_eight_columns_on_either_side(few: Folder) -> None:
    image = load_image(few.file(0))
    assert image.shape == (112, 112, 3)
    face = Preprocessing(height=112, width=96).load(few.file(0))
    np.testing.assert_array_equal(face.permute(1, 2, 0).numpy(), image[:, 8:104])


def test_people_are_found_again(few: Folder, embeddings: Tensor) -> None:
    """A few pictures are blank or blurred or show somebody else: not all can be right."""
    enrolled = np.arange(len(few)) % 2 == 0
    chosen, others = torch.from_numpy(enrolled), torch.from_numpy(~enrolled)
    found = identify(embeddings[others], few.labels[~enrolled], embeddings[chosen], few.labels[enrolled])
    assert found.probes == 12 * EACH // 2
    assert found.rank_rates[1].value is not None and found.rank_rates[1].value >= 0.99


def test_pairs_are_told_apart(few: Folder, embeddings: Tensor) -> None:
    pairs = all_or_sampled_pairs(few.labels)
    found = verify_pairs(score_pairs(embeddings, pairs), pairs.genuine, people=pairs.people(few.labels))
    assert found.roc_auc > 0.97 and found.eer < 0.08
    assert found.balanced_accuracy is not None and found.balanced_accuracy > 0.93


def test_bfloat16_embeds_real_faces_nearly_as_well(few: Folder, embeddings: Tensor) -> None:
    trunk = build_backbone("mobilefacenet")
    pretrain(trunk, str(WEIGHTS), seed=0)
    rounded = embed_folder(trunk, few, precision="bf16")
    assert float((rounded * embeddings).sum(dim=1).min()) > 0.999


@pytest.fixture(scope="module")
def linked(few: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the few pictures as a folder of links, outside of the project."""
    root = tmp_path_factory.mktemp("linked")
    for path in few.paths[::2]:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).symlink_to(few.root / path)
    assert not root.resolve().is_relative_to(PROJECT)
    return root


def test_fine_tuning_for_one_epoch_and_evaluating(linked: Path, tmp_path: Path) -> None:
    listener = Quiet()
    settings = {"backbone": "mobilefacenet", "pretrained": str(WEIGHTS), "epochs": 1, "precision": "fp32"}
    held = Holdout("people", images=0.3, people=4)
    job = Job("triplet", linked, tmp_path, settings, holdout=held, device="cpu", offline=True)
    tuned = train(job, listener)
    assert listener.warnings == []
    assert tuned.outcome is not None and tuned.outcome.start is not None
    assert tuned.outcome.start["roc_auc"] > 0.95
    assert tuned.outcome.best is not None and tuned.outcome.best["roc_auc"] >= tuned.outcome.start["roc_auc"]

    result = evaluate_checkpoint(linked, tmp_path, device="cpu", precision="fp32")
    assert result.evaluation.kind == "people" and result.evaluation.people == 4
    assert result.evaluation.metrics()["roc_auc"] == pytest.approx(tuned.outcome.best["roc_auc"], abs=1e-6)
    assert result.description.origin["source"] == WEIGHTS.name

    head = train(Job("classification", linked, tmp_path, {"epochs": 5}, device="cpu", offline=True), listener)
    assert head.outcome is not None and head.outcome.last is not None
    assert head.outcome.last["accuracy"] > 0.8
    classified = evaluate_checkpoint(linked, tmp_path, device="cpu").evaluation.classification
    assert classified is not None and len(classified.people) == 12
