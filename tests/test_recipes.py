"""Recipes: the package's own against what was published, a user's own, and files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from facenet.data.splits import Holdout
from facenet.errors import FacenetError, InputError, MissingError, UsageError
from facenet.models.face_model import FaceModel
from facenet.models.input_size import set_input_size
from facenet.models.registry import BACKBONES, build_backbone
from facenet.recipes.recipe import MOST_BYTES, load_recipe, nearest, parse_recipe, recipe_names
from facenet.training.config import TrainingConfig

NAMES = (
    "celebrity-site", "expression-inception-resnet-v2", "facenet-classification", "facenet-triplet",
    "facenet-triplet-pk", "passport-siamese", "passport-triplet", "resnet18-verification",
)  # fmt: skip

PUBLISHED: dict[str, dict[str, Any]] = {
    "facenet-triplet": {
        "task": "triplet", "backbone": "inception_resnet_v1", "pretrained": "vggface2", "triplets": "mined",
        "optimiser": "sgd", "lr": 0.05, "batch_size": 8, "images_per_person": 2, "epochs": 100, "schedule": "constant",
    },
    "facenet-triplet-pk": {
        "task": "triplet", "backbone": "inception_resnet_v1", "batch_size": 32, "images_per_person": 4, "lr": 3e-5,
    },
    "facenet-classification": {
        "task": "classification", "pretrained": "tuned", "trainable": "head", "optimiser": "sgd", "lr": 0.001,
        "batch_size": 16, "epochs": 50,
    },
    "celebrity-site": {
        "task": "classification", "backbone": "inception_resnet_v1", "pretrained": "vggface2", "trainable": "last:5",
        "head": "linear", "image_size": "224x224", "augmentation": "flip", "balanced": True, "optimiser": "sgd",
        "lr": 0.01, "schedule": "step", "gamma": 0.1, "step_epochs": 7, "batch_size": 32, "epochs": 15,
    },
    "resnet18-verification": {
        "task": "classification", "backbone": "resnet18", "pretrained": "none", "trainable": "all", "resize": 256,
        "image_size": "224x224", "batch_size": 64, "optimiser": "sgd", "lr": 0.15, "schedule": "exponential",
        "gamma": 0.85, "epochs": 15, "eval_every": 2, "balanced": False, "measure": "all", "primary": "roc_auc",
    },
    "expression-inception-resnet-v2": {
        "task": "classification", "backbone": "inception_resnet_v2", "pretrained": "none", "trainable": "all",
        "image_size": "299x299", "dropout": 0.2, "optimiser": "adam", "amsgrad": True, "schedule": "plateau",
        "plateau_watch": "loss", "plateau_threshold": 0.01, "gamma": 0.2, "step_epochs": 5, "lr": 0.001,
        "balanced": False, "augmentation": "flip", "keep_epochs": True, "measure": "classification",
        "primary": "accuracy", "batch_size": 32,
    },
    "passport-triplet": {
        "task": "triplet", "backbone": "vgg16", "pretrained": "imagenet", "neck": "linear-1000-256-108",
        "trainable": "last:5", "triplets": "sampled", "anchor": "script", "loss": "squared-l2", "margin": 0.3,
        "optimiser": "sgd", "batch_size": 64, "epochs": 200,
    },
    "passport-siamese": {
        "task": "siamese", "backbone": "inception_v3", "pretrained": "imagenet", "neck": "conv-512-256",
        "trainable": "last:2", "anchor": "script", "optimiser": "sgd", "batch_size": 4,
        "measure": "pairs,verification", "primary": "pair_roc_auc",
    },
}  # fmt: skip
"""The numbers that a recipe must contain."""

FACTS: dict[str, dict[str, Any]] = {
    "facenet-triplet": {"learning_rate": 0.05, "batch_size": 8, "epochs": 100},
    "facenet-classification": {"learning_rate": 0.001, "batch_size": 16, "epochs": 50},
    "celebrity-site": {"people": 10, "training_accuracy_percent": 99.90, "training_loss": 0.00062},
    "resnet18-verification": {"people": 4000, "learning_rate_factor_per_epoch": 0.85, "validation_every_epochs": 2},
    "expression-inception-resnet-v2": {
        "classes": 7, "training_pictures": 28821, "epoch_time": "30 min 03 s on a GTX 1650 Ti",
        "parameters_million_at_1000_classes": 55.84,
    },
    "passport-triplet": {"embedding_size": 108, "loss_at_start": 0.299, "loss_after_5_epochs": 0.010, "epochs": 200},
    "passport-siamese": {"f1": 0.77, "batch_size_pairs": 4},
}  # fmt: skip
"""What its authors report."""

GOOD = """
summary = "mine"
differs = ["in nothing"]
most_classes = 7

[settings]
task = "triplet"
lr = 1
images_per_person = 2
soft = true

[holdout]
kind = "people"
names = ["Ada", "Bob"]

[published]
accuracy_percent = 99
"""


def recipe_of(text: str, name: str = "mine") -> Any:
    return parse_recipe(name, text.encode())


# ------------------------------------------------------------------------------------------------- the package's own


def test_names() -> None:
    assert recipe_names() == sorted(NAMES) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_published(name: str) -> None:
    recipe = load_recipe(name)
    assert {key: recipe.settings.get(key) for key in PUBLISHED[name]} == PUBLISHED[name]
    assert recipe.name == name and recipe.words == name and recipe.path is None
    assert 20 < len(recipe.summary) < 120 and not recipe.summary.endswith(".")
    assert recipe.differs and all(len(text) > 10 for text in recipe.differs)
    facts = FACTS.get(name, {})
    assert {key: recipe.published.get(key) for key in facts} == facts
    assert bool(recipe.published) == bool(facts)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_possible(name: str) -> None:
    recipe = load_recipe(name)
    config = TrainingConfig(**recipe.settings)
    assert config.backbone in BACKBONES
    for field, value in recipe.settings.items():
        assert type(value) is type(getattr(TrainingConfig, field)), field
    if recipe.holdout is not None:
        assert Holdout(**recipe.holdout).kind == "people"
    # What a recipe makes best by must be measured.
    measured = {"accuracy": "classification", "roc_auc": "verification", "pair_roc_auc": "pairs"}[config.primary]
    assert measured in config.measures


def test_where_people_are_held_out() -> None:
    assert {name: load_recipe(name).holdout for name in NAMES if load_recipe(name).holdout is not None} == {
        "resnet18-verification": {"kind": "people"},
        "passport-triplet": {"kind": "people", "keep": "script"},
        "passport-siamese": {"kind": "people", "keep": "script"},
    }


def test_only_the_expression_network_has_a_limit() -> None:
    assert {name: load_recipe(name).most_classes for name in NAMES if load_recipe(name).most_classes is not None} == {
        "expression-inception-resnet-v2": 1001
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_as_described(name: str) -> None:
    """Backbone, neck, size and what is trained go together."""
    config = TrainingConfig(**load_recipe(name).settings)
    trunk = build_backbone(config.backbone, neck=config.neck, dropout=config.dropout)
    set_input_size(trunk, config.image_size, config.resize)
    model = FaceModel(trunk, None, trainable="all" if config.trainable == "head" else config.trainable)
    trained = {id(parameter) for parameter in model.trainable_parameters()}
    kinds = {
        (type(module).__name__, id(next(module.parameters())) in trained)
        for module in trunk.modules()
        if type(module).__name__ in ("Linear", "Conv2d")
    }
    if name == "passport-triplet":
        assert kinds == {("Conv2d", False), ("Linear", True)} and trunk.embedding_size == 108
        assert sum(parameter.ndim == 2 for parameter in model.trainable_parameters()) == 5
    if name == "passport-siamese":
        assert trunk.embedding_size == 256
        assert sum(parameter.ndim == 4 for parameter in model.trainable_parameters()) == 2
    if name == "resnet18-verification":
        assert trunk.preprocessing.fit == "cover-256" and trunk.preprocessing.height == 224


def test_a_new_recipe_is_one_new_file(tmp_path: Path) -> None:
    """In a copy of the package, a further file is a further recipe, and is part of what is installed."""
    source = Path(load_recipe.__code__.co_filename).parent
    copy = tmp_path / "copied_recipes"
    copy.mkdir()
    for file in source.iterdir():
        if file.suffix in (".py", ".toml"):
            (copy / file.name).write_bytes(file.read_bytes())
    (copy / "another.toml").write_text(GOOD)
    code = (
        "from copied_recipes.recipe import load_recipe, recipe_names\n"
        "print(len(recipe_names()), load_recipe('another').summary)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(source.parents[1])])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(len(NAMES) + 1), "mine"], done.stderr
    assert "facenet.recipes = *.toml" in (source.parents[1] / "setup.cfg").read_text()


# ------------------------------------------------------------------------------------------------------- one's own


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facenet-triplet.toml").write_text(GOOD)
    for words in ("facenet-triplet.toml", "./facenet-triplet.toml", str(tmp_path / "facenet-triplet.toml")):
        recipe = load_recipe(words)
        assert (recipe.name, recipe.words, recipe.path) == ("facenet-triplet", words, words)
        assert recipe.summary == "mine"
    assert load_recipe("facenet-triplet").path is None
    assert recipe.settings == {"task": "triplet", "lr": 1.0, "images_per_person": 2, "soft": True}
    assert type(recipe.settings["lr"]) is float
    assert recipe.holdout == {"kind": "people", "names": ("Ada", "Bob")}
    assert Holdout(**recipe.holdout).names == ("Ada", "Bob")
    assert recipe.most_classes == 7 and recipe.published == {"accuracy_percent": 99}
    assert recipe.to_dict()["settings"] == recipe.settings


def test_little_is_needed() -> None:
    recipe = recipe_of('settings.task = "siamese"')
    assert (recipe.task, recipe.summary, recipe.differs, recipe.holdout) == ("siamese", "", (), None)
    assert len({recipe.sha256, recipe_of('settings.task = "triplet"').sha256}) == 2


def test_a_mark_before_the_text_is_no_text() -> None:
    assert parse_recipe("mine", b"\xef\xbb\xbf" + GOOD.encode()).settings == recipe_of(GOOD).settings


def test_a_size_has_one_spelling() -> None:
    assert recipe_of('settings = {task = "triplet", image_size = 96}').settings["image_size"] == "96x96"
    assert recipe_of('settings = {task = "triplet", image_size = "96"}').settings["image_size"] == "96x96"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'must say which task it trains, such as task = "triplet"'),
        ("[settings]\nlr = 0.1", "must say which task"),
        ('sumary = "x"', "unknown key 'sumary' (did you mean summary?)"),
        ("[setings]", "unknown key 'setings' (did you mean settings?)"),
        ('[settings]\ntask = "triplet"\nbach_size = 3', "unknown key 'bach_size' in [settings] (did you mean"),
        ('[settings]\ntask = "triplet"\n"\\u001b[31m" = 3', "unknown key '\\x1b[31m'"),
        ('settings.task = "triplet"\nholdout.kinds = "people"', "in [holdout] (did you mean kind?)"),
        ('settings = "triplet"', "settings must be a section"),
        ("settings = 3", "settings must be a section"),
        ('settings.task = "triplet"\nholdout = ["people"]', "holdout must be a section"),
        ('settings.task = "triplet"\npublished = 3', "published must be a section"),
        ("settings.task = 3", "settings.task must be a text, not 3"),
        ('settings = {task = "triplet", lr = "0.1"}', "settings.lr must be a number, not '0.1'"),
        ('settings = {task = "triplet", lr = true}', "settings.lr must be a number, not True"),
        ('settings = {task = "triplet", epochs = 1.5}', "settings.epochs must be a whole number, not 1.5"),
        ('settings = {task = "triplet", epochs = true}', "settings.epochs must be a whole number, not True"),
        ('settings = {task = "triplet", soft = 1}', "settings.soft must be true or false, not 1"),
        ('settings = {task = "triplet", soft = 1979-05-27}', "settings.soft must be true or false"),
        ('settings = {task = "triplet", epochs = 1%s}' % ("0" * 400), "settings.epochs is larger than any"),
        ('settings = {task = "triplet", lr = 1%s}' % ("0" * 400), "settings.lr is larger than any"),
        ('settings.task = "triplet"\nholdout.names = "Ada"', "holdout.names must be a list of texts"),
        ('settings.task = "triplet"\nholdout.names = [1]', "holdout.names must be a list of texts"),
        ('settings.task = "triplet"\nholdout = {people = "3"}', "holdout.people must be a number"),
        ('settings.task = "triplet"\nholdout = {people = true}', "holdout.people must be a"),
        ('settings.task = "triplet"\nsummary = 3', "summary must be a text, not 3"),
        ('settings.task = "triplet"\ndiffers = "x"', "differs must be a list of texts"),
        ('settings.task = "triplet"\nmost_classes = 0', "most_classes must be at least 1"),
        ('settings.task = "triplet"\nmost_classes = "many"', "most_classes must be a whole number"),
        ('settings.task = "triplet"\npublished.list = [1]', "published.list must be a finite number or a text"),
        ('settings.task = "guess"', "unknown task 'guess'"),
        ('settings = {task = "triplet", lr = nan}', "settings.lr must be a finite number, not nan"),
        ('settings = {task = "triplet", lr = inf}', "settings.lr must be a finite number, not inf"),
        ('settings = {task = "triplet", epochs = 0}', ": settings.epochs must be at least 1, not 0"),
        ('settings = {task = "triplet", batch_size = 0}', ": settings.batch_size must be at least 1, not 0"),
        ('settings = {task = "triplet", lr = -1}', ": settings.lr must be a positive number, not -1"),
        ('settings = {task = "triplet", weight_decay = inf}', "settings.weight_decay must be a finite number, not inf"),
        ('settings = {task = "triplet", clip = inf}', "settings.clip must be a finite number"),
        (
            'settings = {task = "triplet", loss = "mean-difference"}',
            ": settings.loss mean-difference goes with settings.triplets sampled",
        ),
        ('task = "triplet"', "'task' belongs below [settings]"),
        ('epochs = 3\n[settings]\ntask = "triplet"', "'epochs' belongs below [settings]"),
        ('[settings]\ntask = "triplet"\n[settings.deep]\nx = 1', "unknown key 'deep' in [settings]"),
        ('[[settings]]\ntask = "triplet"', "settings must be a section"),
        ('settings.task = "triplet"\npublished.x = nan', "published.x must be a finite number or a text"),
        ('settings = {task = "triplet", image_size = true}', "settings.image_size must be a text, not True"),
        ('settings = {task = "triplet", image_size = 0}', "'0' is no size in pixels"),
        ('settings.task = "triplet"\nholdout.people = 3', 'holdout.people goes with kind = "people"'),
        ('settings.task = "triplet"\nholdout = {kind = "folder", people = 3}', "holdout.people goes with"),
        ('settings.task = "triplet"\nholdout = {kind = "folder", images = 0.3}', "holdout.images goes with kind"),
        ('settings.task = "triplet"\nholdout = {kind = "folder", names = ["a"]}', "holdout: names of people"),
        (
            'settings.task = "triplet"\nholdout = {kind = "people", people = 3, names = ["a", "b"]}',
            "holdout.people and holdout.names are two ways to say who",
        ),
        ('settings.task = "triplet"\nholdout.images = nan', "holdout.images must be a"),
        ('settings = {task = "triplet", schedule = "moon"}', "unknown schedule 'moon'"),
        ('settings = {task = "triplet", image_size = "wide"}', "settings.image_size: 'wide' is no size in pixels"),
        ('settings.task = "triplet"\nholdout.kind = "nobody"', "hold out images, people or folder"),
        ('settings.task = "triplet"\nholdout.images = 1', "must be in [0, 1)"),
    ],
)  # fmt: skip
def test_what_a_recipe_cannot_say(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_of(text, "my\nown")
    assert message in str(caught.value)
    assert str(caught.value).startswith("recipe my\\nown")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"[settings\n", "line 1"),
        (b'summary = "x"\nlr = = 3\n', "line 2"),
        (b"\n\na = 1\na = 2\n", "line 4"),
        (b'summary = "x"\n\xff\xfe', "line 2"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1"),
        (b"\0" * 100, "line 1"),
        (b"a = " + b"[" * 60_000, "no TOML"),
        (b"a = " + b"9" * 60_000, "no TOML"),
        (b'summary = "unfinished', "no TOML"),
    ],
)
def test_what_is_no_recipe_at_all(data: bytes, line: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_recipe("mine", data)
    assert line in str(caught.value) and "no TOML" in str(caught.value)
    assert str(caught.value).isprintable()


def test_bytes_of_any_kind_are_refused_by_name() -> None:
    """Every prefix of a good file, and the file with any one byte changed, is read or refused with a named error."""
    data = GOOD.encode()
    read = refused = 0
    for position in range(len(data)):
        for damaged in (data[:position], data[:position] + bytes([data[position] ^ 0x15]) + data[position + 1 :]):
            try:
                parse_recipe("mine", damaged)
                read += 1
            except FacenetError:
                refused += 1
    assert read > 20 and refused > 100


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(InputError, match="larger than 65,536 bytes"):
        load_recipe(str(large))
    large.write_bytes(b'settings.task = "triplet"\n'.ljust(MOST_BYTES, b"#"))
    assert load_recipe(str(large)).task == "triplet"
    (tmp_path / "folder.toml").mkdir()
    for folder in (tmp_path, tmp_path / "folder.toml"):
        with pytest.raises(MissingError, match="a folder and no recipe file at"):
            load_recipe(str(folder))
    (tmp_path / "dead.toml").symlink_to(tmp_path / "gone")
    for missing in (
        tmp_path / "none.toml",
        tmp_path / "dead.toml",
        Path("/dev/zero"),
        tmp_path / ("x" * 300 + ".toml"),
    ):
        with pytest.raises(MissingError, match="no recipe file at"):
            load_recipe(str(missing))
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(MissingError, match="no recipe file at"):
        load_recipe(str(tmp_path / "pipe.toml"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("facenet-tripplet", "facenet-triplet"),
        ("resnet18", "resnet18-verification"),
        ("passport", "passport-triplet"),
        ("Celebrity_Site", "celebrity-site"),
        ("xyz", None),
        ("", None),
        ("a\nb", None),
    ],
)
def test_unknown_names(name: str, meant: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(name)
    message = str(caught.value)
    assert "see `python cli.py train --list`" in message and message.isprintable()
    assert ("did you mean" in message) == (meant is not None)
    assert meant is None or meant in message


def test_nearest() -> None:
    assert nearest("one", ["one more", "none", "two"]).startswith(" (did you mean none")
    assert nearest("one", []) == ""
