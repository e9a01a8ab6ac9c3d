"""``train --recipe``: listed, described, merged with the command line, recorded and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, Main
from patterns import write_patterns

from facenet.models.catalogue import find, weights_folder
from facenet.recipes.recipe import load_recipe, recipe_names
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json
from facenet.workflows.used_settings import is_used

TOY = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--device=cpu")
OWN = """
summary = "a toy"
most_classes = 4

[settings]
task = "triplet"
backbone = "toy"
pretrained = "none"
precision = "fp32"
batch_size = 8
images_per_person = 2
epochs = 1
lr = 0.01
optimiser = "adam"
amsgrad = true
soft = true
augmentation = "none"

[holdout]
kind = "people"
people = 2
"""


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six people with six pictures each."""
    return write_patterns(tmp_path / "six", {f"person {number}": number + 1 for number in range(6)}, count=6)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A recipe of the user's own."""
    path = tmp_path / "own recipes" / "mine.toml"
    path.parent.mkdir()
    path.write_text(OWN)
    return path


@pytest.fixture
def train(main: Main, toy: str, six: Path, own: Path) -> Callable[..., Ended]:
    """Train by the user's own recipe, or by another one."""

    def run(*words: object, recipe: object = own) -> Ended:
        return main("train", f"--recipe={recipe}", f"--rootdir={six}", "--device=cpu", *words)

    return run


def table(ended: Ended) -> dict[str, tuple[str, str]]:
    """The merged configuration as printed: setting → (value, where it comes from)."""
    lines = ended.err.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.split() == ["setting", "value", "from"])
    column = lines[start].index("from")
    found = {}
    for line in lines[start + 1 :]:
        if not line.startswith("  "):
            break
        name, value = line[:column].split()
        found[name] = (value, line[column:])
    return found


def record(ended: Ended) -> dict[str, Any]:
    """The ``run.json`` of a run that ended well."""
    assert ended.code == 0, ended.err
    found: dict[str, Any] = read_json(Path(ended.document["run"]) / "run.json")
    assert found["recipe"] == ended.document["recipe"]
    assert found["config"] == ended.document["config"]
    return found


# ------------------------------------------------------------------------------------------------- list and describe


def test_list(main: Main) -> None:
    ended = main("train", "--list", "--json")
    listed = ended.document["recipes"]
    assert [recipe["name"] for recipe in listed] == recipe_names()
    networks = {recipe["name"]: recipe["network"] for recipe in listed}
    assert networks["passport-triplet"] == "vgg16 + linear-1000-256-108"
    assert networks["facenet-classification"] == "the newest triplet run's"
    assert networks["facenet-triplet"] == "inception_resnet_v1"
    shown = main("train", "--list").out
    for recipe in listed:
        assert recipe["name"] in shown and recipe["task"] in shown


def test_list_is_quick(child_environment: dict[str, str]) -> None:
    """Neither listing nor describing, nor a wrong name, loads torch."""
    code = (
        "import sys\nfrom facenet.cli import main\n"
        "main(['train', '--list']); main(['train', '--list', '--json'])\n"
        "main(['train', '--list', '--recipe', 'celebrity-site']); main(['train', '--recipe', 'celebrity'])\n"
        "main(['--train-module', 'celebrity'])\n"
        "print('HEAVY', sorted({'torch', 'torchvision', 'faiss', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr


@pytest.mark.parametrize("name", recipe_names())
def test_describe(main: Main, name: str) -> None:
    recipe = load_recipe(name)
    document = main("train", "--list", f"--recipe={name}", "--json").document
    assert document["command"] == f"python cli.py train --recipe {name} --rootdir DIR"
    command = document.pop("command")
    assert document == json.loads(json.dumps(recipe.to_dict()))
    shown = main("train", "--list", f"--recipe={name}").out
    for text in (recipe.summary, *recipe.differs, command):
        assert text in shown
    for key, value in (*recipe.settings.items(), *recipe.published.items()):
        assert key.replace("_", " ") in shown
        assert str(value) in shown or isinstance(value, bool)


def test_describe_ones_own(main: Main, own: Path) -> None:
    shown = main("train", "--list", f"--recipe={own}").out
    assert shown.startswith("mine: a toy")
    assert f"--recipe '{own}' --rootdir DIR" in shown and "at most 4 classes" in shown
    own.write_text('summary = "\\u001b[31mred [bold]x"\nsettings.task = "triplet"\npublished.x = "\\n\\u001b[0m"')
    shown = main("train", "--list", f"--recipe={own}").out
    assert "\x1b" not in shown and "\\x1b[31mred [bold]x" in shown


# ------------------------------------------------------------------------------------------------- merging


def test_what_wins(train: Callable[..., Ended]) -> None:
    ended = train("--lr=0.02", "--no-amsgrad", "--margin=0.3", "--save-seconds=5", "--json")
    found = record(ended)
    config = found["config"]
    assert (config["lr"], config["amsgrad"], config["soft"], config["margin"]) == (0.02, False, True, 0.3)
    assert (config["batch_size"], config["schedule"], config["task"]) == (8, "cosine", "triplet")
    assert found["recipe"]["name"] == "mine" and len(found["recipe"]["sha256"]) == 64
    # Not in the recipe, so not overridden: margin and save_seconds.
    assert found["recipe"]["overridden"] == {
        "lr": {"recipe": 0.01, "given": 0.02},
        "amsgrad": {"recipe": True, "given": False},
    }
    assert found["holdout"]["kind"] == "people" and found["holdout"]["people"] == 2
    shown = table(ended)
    assert list(shown) == [name for name in config if is_used(name, TrainingConfig(**config))]
    # Of a run on mined triplets with Adam along a cosine these mean nothing; the record keeps them.
    ignored = ("loss", "anchor", "head", "balanced", "momentum", "gamma", "step_epochs", "plateau_watch", "dropout")
    assert not set(ignored) & set(shown) and set(ignored) <= set(config)
    assert {"margin", "mining", "fallback", "images_per_person", "warmup", "amsgrad"} <= set(shown)
    assert shown["lr"] == ("0.02", "command line") and shown["amsgrad"] == ("no", "command line")
    assert shown["save_seconds"] == ("5", "command line")
    assert shown["batch_size"] == ("8", "recipe") and shown["soft"] == ("yes", "recipe")
    assert shown["schedule"] == ("cosine", "default") and shown["neck"] == ("none", "default")
    assert shown["batch_norm"] == ("train", "decided")
    assert ended.err.index("setting ") < ended.err.index("start    ")


def test_the_same_value_given_again_overrides_nothing(train: Callable[..., Ended]) -> None:
    ended = train("--lr=0.01", "--soft", "--json")
    assert record(ended)["recipe"]["overridden"] == {}
    assert table(ended)["lr"] == ("0.01", "command line")


def test_a_recipe_by_name(train: Callable[..., Ended]) -> None:
    words = (*TOY, "--ep=1", "--trainable=last:2", "--image-size=32", "--json")
    ended = train(*words, recipe="celebrity-site")
    found = record(ended)
    assert found["recipe"]["name"] == "celebrity-site" and found["recipe"]["path"] is None
    assert set(found["recipe"]["overridden"]) == {"backbone", "pretrained", "epochs", "trainable", "image_size"}
    assert found["config"]["task"] == "classification"
    assert (found["config"]["lr"], found["config"]["balanced"]) == (0.01, True)
    # The task's own defaults lie below the recipe's: 15 epochs, not 30.
    assert found["recipe"]["overridden"]["epochs"] == {"recipe": 15, "given": 1}
    assert found["holdout"]["kind"] == "images"


def test_the_original_words(train: Callable[..., Ended], main: Main, six: Path, own: Path) -> None:
    ended = main("--train-module", str(own), f"--rootdir={six}", "--device=cpu", "--json")
    assert record(ended)["recipe"]["name"] == "mine"
    words = ("--train-module", "celebrity-site", "--rootdir", six, "--ep=1", "--trainable=last:1", "--image-size=32")
    assert record(main(*words, *TOY, "--json"))["recipe"]["name"] == "celebrity-site"
    plain = record(main("--train-module", "inception", f"--rootdir={six}", "--ep=1", "--bs=8", *TOY, "--json"))
    assert plain["recipe"] is None and plain["config"]["lr"] == 5e-4


def test_the_task_may_be_said_as_well(train: Callable[..., Ended], own: Path) -> None:
    assert train("triplet").code == 0
    assert train("inception").code == 0
    refused = train("classification")
    assert refused.code == 2 and "is for triplet training, not classification" in refused.error


@pytest.mark.parametrize(
    ("name", "unseen"),
    [
        ("celebrity-site", "mining margin images_per_person triplets anchor soft amsgrad warmup plateau_watch"),
        ("passport-siamese", "mining margin images_per_person triplets loss head balanced gamma step_epochs warmup"),
        ("passport-triplet", "mining images_per_person fallback head balanced gamma warmup plateau_threshold"),
    ],
)
def test_only_what_a_run_uses_is_shown(train: Callable[..., Ended], six: Path, name: str, unseen: str) -> None:
    for person in six.iterdir():
        (person / "0.png").rename(person / "0-script.png")
    words = (*TOY, "--ep=1", "--bs=4", "--trainable=all", "--image-size=32", "--neck=none", "--json")
    ended = train(*words, recipe=name)
    config, shown = record(ended)["config"], table(ended)
    assert not set(unseen.split()) & set(shown) and set(unseen.split()) <= set(config)
    assert {"task", "backbone", "lr", "momentum", "batch_size", "seed"} <= set(shown)


def test_what_a_flag_makes_pointless_is_left_out(train: Callable[..., Ended], six: Path, own: Path) -> None:
    """The command line goes before the recipe: nobody has to give back what an optimiser or a miner would ignore."""
    ended = train("--optimiser=sgd", "--mining=hard", "--json")
    found = record(ended)
    assert (found["config"]["optimiser"], found["config"]["amsgrad"]) == ("sgd", False)
    assert found["recipe"]["pointless"] == ["amsgrad"] and "amsgrad" not in table(ended)
    assert "left out of it, for the flags given make it pointless: amsgrad" in ended.err
    given_back = record(train("--optimiser=sgd", "--no-amsgrad", "--json"))
    assert given_back["recipe"]["pointless"] == []
    assert given_back["recipe"]["overridden"]["amsgrad"] == {"recipe": True, "given": False}
    for flags in (["--optimiser=sgd", "--amsgrad"], ["--warmup=0.1", "--schedule=step"]):
        refused = train(*flags)
        assert refused.code == 2 and " goes with --" in refused.error and len(refused.err.splitlines()) == 1
    assert record(train("--json"))["recipe"]["pointless"] == []


@pytest.mark.parametrize(
    "setting", ["plateau_threshold = 0.1", 'anchor = "script"', "step_epochs = 2", "balanced = true"]
)
@pytest.mark.parametrize("flags", [[], ["--schedule=plateau"], ["--lr=0.1"]])
def test_a_recipe_says_nothing_that_its_own_run_ignores(
    train: Callable[..., Ended], own: Path, setting: str, flags: list[str]
) -> None:
    own.write_text(OWN.replace("soft = true", setting))
    refused = train(*flags)
    assert refused.code == 2 and len(refused.err.splitlines()) == 1
    assert refused.error.startswith(f"error: recipe {own}: settings.{setting.split()[0]} goes with ")


def test_words_that_only_a_part_would_know_to_be_wrong(train: Callable[..., Ended], own: Path, tmp_path: Path) -> None:
    """Before any weights are loaded and any picture is read; what the recipe says wrong is said of the recipe."""
    for word in ("mining", "fallback", "head", "augmentation"):
        own.write_text(OWN.replace('augmentation = "none"\n', "").replace("soft = true", f'{word} = "best"'))
        refused = train()
        assert refused.code == 2 and len(refused.err.splitlines()) == 1
        assert refused.error.startswith(f"error: recipe {own}: unknown settings.{word} 'best': choose one of ")
        own.write_text(OWN)
        refused = train(f"--{word}=best")
        assert refused.code == 2 and refused.err.startswith(f"error: unknown --{word} 'best': choose one of ")
    own.write_text(OWN.replace("images_per_person = 2", 'triplets = "sampled"\nloss = "mean-difference"'))
    refused = train()
    assert refused.code == 2 and "has no soft margin" in refused.error and len(refused.err.splitlines()) == 1


def test_a_root_that_is_not_there_is_said_before_weights_are_asked_for(main: Main, tmp_path: Path) -> None:
    ended = main("train", "--recipe=celebrity-site", f"--rootdir={tmp_path / 'nowhere'}", "--device=cpu", "--offline")
    assert ended.code == 4 and ended.err.startswith("error: no folder ")


def test_a_training_folder_alone(train: Callable[..., Ended], main: Main, six: Path, own: Path, tmp_path: Path) -> None:
    """Where somebody means to have a folder to test on, its absence is said."""
    said = "there are no pictures in a folder such as validation/ beside train/ to hold out"
    (tmp_path / "half" / "validation").mkdir(parents=True)
    six.rename(tmp_path / "half" / "train")
    own.write_text(OWN.split("[holdout]")[0])
    words = ("train", f"--recipe={own}", "--device=cpu")
    ended = main(*words, f"--rootdir={tmp_path / 'half'}")
    assert ended.code == 0 and said in ended.err
    assert said not in main(*words, f"--rootdir={tmp_path / 'half'}", "--holdout=images").err
    ended = main(*words, f"--rootdir={tmp_path / 'half' / 'train'}")
    assert ended.code == 0 and "such as validation/" not in ended.err


def test_a_recipes_rate_is_kept_on_trained_weights(train: Callable[..., Ended], tmp_path: Path) -> None:
    """Trained weights call for a gentle default; a recipe's rate is no default."""
    trained = Path(train("--json").document["checkpoint"])
    again = record(train(f"--pretrained={trained}", "--json"))
    assert again["origin"]["kind"] == "checkpoint" and again["config"]["lr"] == 0.01
    assert again["config"]["batch_norm"] == "frozen"


def test_a_batch_larger_than_the_data(train: Callable[..., Ended], own: Path) -> None:
    own.write_text(OWN.replace("batch_size = 8", "batch_size = 800"))
    ended = train("--json")
    pictures = record(ended)["data"]["trained_on"]
    assert pictures <= 4 * 6 and record(ended)["config"]["batch_size"] == pictures
    assert f"batches of {pictures} instead of 800: there are {pictures} pictures to train on" in ended.err
    assert table(ended)["batch_size"] == (str(pictures), "decided")
    demanded = train("--bs=800")
    assert demanded.code == 3 and "larger than the data" in demanded.error


def test_holdout_on_the_command_line(train: Callable[..., Ended], own: Path) -> None:
    found = record(train("--holdout-seed=7", "--json"))["holdout"]
    assert (found["kind"], found["people"], found["seed"]) == ("people", 2, 7)
    found = record(train("--holdout=images", "--json"))["holdout"]
    assert found["kind"] == "images"
    own.write_text(OWN.replace("people = 2", 'names = ["person 0", "person 1"]'))
    assert record(train("--json"))["holdout"]["names"] == ["person 0", "person 1"]
    found = record(train("--holdout-people=3", "--json"))["holdout"]
    assert (found["people"], found["names"]) == (3, [])
    assert record(train("--holdout=images", "--json"))["holdout"]["names"] == []
    assert record(train("--holdout-keep=0", "--json"))["holdout"]["keep"] == "0"


def test_more_classes_than_published(train: Callable[..., Ended], own: Path) -> None:
    own.write_text(
        OWN.replace('"triplet"', '"classification"')
        .replace("images_per_person = 2\n", "")
        .replace("soft = true\n", "")
        .split("[hold")[0]
    )
    ended = train("--json")
    assert "WARNING: 6 classes: " in ended.err and "was published for at most 4; training goes on" in ended.err
    assert ended.document["status"] == "finished"
    own.write_text(own.read_text().replace("most_classes = 4", "most_classes = 6"))
    assert "published for at most" not in train().err


# ------------------------------------------------------------------------------------------------- resuming


def test_resuming_the_run_of_the_recipe(train: Callable[..., Ended], main: Main, six: Path, tmp_path: Path) -> None:
    """The newest run of that recipe goes on, not a newer one of the same task; its record stays."""
    first = record(train("--lr=0.02", "--json"))
    plain = ("--train-module", "inception", f"--rootdir={six}", "--ep=1", "--bs=8", "--images-per-person=2", *TOY)
    assert main(*plain).code == 0
    assert record(main(*plain, "--json"))["recipe"] is None
    resumed = train("--check=1", "--ep=2", "--json")
    assert Path(resumed.document["run"]).name == "triplet-001"
    assert (resumed.document["epochs"], resumed.document["config"]["lr"]) == (2, 0.02)
    assert record(resumed)["recipe"] == first["recipe"]
    assert "resuming triplet-001" in resumed.err and "recipe: mine, with the settings that triplet-001" in resumed.err
    # Only what the command line says is compared with the run: the recipe's own rate is not.
    refused = train("--check=1", "--ep=3", "--lr=0.01")
    assert refused.code == 2 and "has --lr 0.02, not 0.01" in refused.error
    assert train("--check=1", "--ep=3", "--lr=0.02").code == 0
    # Without the recipe it is the newest run of the task.
    newest = main(*plain[:3], "--device=cpu", "--check=1", "--ep=2", "--json")
    assert Path(newest.document["run"]).name == "triplet-003"
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_resuming_without_a_run_of_the_recipe(train: Callable[..., Ended], own: Path, tmp_path: Path) -> None:
    assert train().code == 0
    other = tmp_path / "other.toml"
    other.write_text(OWN)
    ended = train("--check=1", "--json", recipe=other)
    assert f"WARNING: there is no {other} run to resume" in ended.err
    assert Path(ended.document["run"]).name == "triplet-002"


def test_a_file_called_like_a_recipe_is_another(train: Callable[..., Ended], own: Path, tmp_path: Path) -> None:
    namesake = tmp_path / "facenet-triplet.toml"
    namesake.write_text(OWN)
    assert train(recipe=namesake).code == 0
    ended = train("--check=1", *TOY, "--ep=1", "--image-size=auto", "--json", recipe="facenet-triplet")
    assert "there is no facenet-triplet run to resume" in ended.err
    assert ended.document["recipe"]["path"] is None
    assert Path(train("--check=1", "--ep=2", "--json", recipe=namesake).document["run"]).name == "triplet-001"


def test_resuming_by_a_recipe_that_has_changed(train: Callable[..., Ended], own: Path) -> None:
    before = record(train("--json"))
    own.write_text(OWN.replace("lr = 0.01", "lr = 0.5"))
    resumed = train("--check=1", "--ep=2", "--json")
    assert resumed.document["config"]["lr"] == 0.01
    assert "WARNING: the recipe has changed since then" in resumed.err
    assert record(resumed)["recipe"] == before["recipe"]


def test_a_damaged_record_does_not_hide_the_other_runs(train: Callable[..., Ended], tmp_path: Path) -> None:
    for _ in range(3):
        assert train().code == 0
    (tmp_path / "runs" / "triplet-003" / "run.json").write_text("{")
    (tmp_path / "runs" / "triplet-002" / "run.json").write_text('{"recipe": [1]}')
    ended = train("--check=1", "--ep=2", "--json")
    assert Path(ended.document["run"]).name == "triplet-001"
    assert "triplet-003 is passed over: " in ended.err and "triplet-002 is passed over: " in ended.err


def test_interrupted(train: Callable[..., Ended], own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet.commands.screen import Screen

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "step", lambda self, record: signal.raise_signal(signal.SIGINT))
        stopped = train()
    assert stopped.code == 130
    assert f"go on with  python cli.py --train-module '{own}' --rootdir=" in stopped.err
    assert train("--check=1", "--json").document["status"] == "finished"


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "--recipe", "passport-triplett"], 2, "did you mean passport-triplet"),
        (["train", "--recipe", "nothing-like-it"], 2, "see `python cli.py train --list`"),
        (["train", "--recipe", ""], 2, "unknown recipe ''"),
        (["train", "--list", "--recipe", "celebrity"], 2, "did you mean celebrity-site"),
        (["--train-module", "facenet-tripet"], 2, "did you mean facenet-triplet"),
        (["--train-module", "clasification"], 2, "did you mean classification"),
        (["--train-module", "no\nsuch"], 2, "not 'no\\nsuch'"),
        (["--train-module", "celebrity-site", "--recipe=resnet18-verification"], 2, "leave one out"),
        (["--train", "0", "--recipe", "celebrity-site"], 2, "--train 0 evaluates, and --recipe says how to train"),
        (["--train", "1", "--recipe", "celebrity"], 2, "did you mean celebrity-site"),
        (["train", "classification", "--mining", "hard"], 2, "--mining goes with mined triplets: this run would"),
        (["train", "siamese", "--margin", "0.3", "--no-soft"], 2, "ignore them, leave them out"),
        (["train", "triplet", "--schedule", "exponential", "--plateau-watch", "loss"], 2, "--schedule plateau"),
        (["train", "triplet", "--images-per-person", "2", "--triplets", "sampled"], 2, "goes with mined triplets"),
        (["train", "classification", "--batch-norm", "frozen"], 2, "a network that learns (--trainable all or last"),
        (["train", "triplet", "--dropout", "0.5", "--backbone", "resnet18"], 2, "has such a layer"),
        (["train", "--recipe", "resnet18-verification", "--warmup", "0"], 2, "--schedule cosine"),
        (
            ["train", "--recipe", "celebrity-site", "--backbone", "mobilefacenet"],
            2,
            "takes 112x96 only, not 224x224; --image-size auto is the network's own instead of the recipe's",
        ),
        (["train", "--recipe", "celebrity-site", "--backbone", "mobilefacenet", "--image-size", "75"], 2, "not 75x75"),
        (["train", "triplet", "--clip", "inf"], 2, "argument --clip: must be a finite number, not inf"),
        (["train", "triplet", "--lr", "much"], 2, "argument --lr: invalid number value: 'much'"),
        (["train", "triplet", "--holdout", "folder", "--holdout-images", "0.2"], 2, "--holdout-images goes with"),
        (["train", "--recipe", "missing.toml"], 4, "no recipe file at missing.toml"),
        (["train", "--recipe", "./missing"], 4, "no recipe file at missing"),
        (["--train-module", "./missing"], 4, "no recipe file at missing"),
        (["train"], 2, "say what to train"),
        (["train", "--recipe", "celebrity-site", "triplet"], 2, "is for classification training"),
        (["train", "--recipe", "facenet-triplet", "--image-size", "0"], 2, "no size in pixels"),
        (["train", "--recipe", "facenet-triplet", "--loss", "mean-difference"], 2, "--triplets sampled"),
    ],
)
def test_wrong_words(main: Main, six: Path, words: list[str], code: int, message: str) -> None:
    ended = main(*words, f"--rootdir={six}") if words[0] == "train" else main(*words)
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.error


@pytest.mark.parametrize(("text", "code"), [("[settings", 3), ('[settings]\ntask = "guess"', 2), ("x = 1", 2)])
def test_files_that_are_no_recipe(train: Callable[..., Ended], own: Path, text: str, code: int) -> None:
    own.write_text(text)
    assert train().code == code
    assert train("--list").code == code


def test_weights_that_a_recipe_asks_for_and_that_are_not_at_hand(
    main: Main, six: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the file's address and the exact place to put it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "weights"))
    ended = main("train", "--recipe=facenet-triplet", f"--rootdir={six}", "--device=cpu", "--offline")
    entry = find("vggface2", architecture="inception_resnet_v1")
    assert ended.code == 4
    assert entry.url in ended.error
    assert ended.error.endswith(f"put it at {weights_folder() / entry.url.rsplit('/', 1)[1]}")
    assert not (tmp_path / "runs").exists()


def test_a_tuned_trunk_brings_its_own_size(train: Callable[..., Ended], main: Main, six: Path) -> None:
    tuned = record(train("--image-size=34", "--json"))
    words = ("--train-module", "facenet-classification", f"--rootdir={six}", "--device=cpu")
    ended = main(*words, "--ep=1", "--json")
    found = record(ended)
    assert (found["config"]["image_size"], found["config"]["backbone"]) == ("34x34", "toy")
    assert found["holdout"] == tuned["holdout"]
    shown = table(ended)
    assert shown["image_size"] == ("34x34", "decided") and shown["lr"] == ("0.001", "recipe")
    refused = main(*words, "--image-size=48")
    assert refused.code == 2 and "has --image-size 34x34, not 48x48" in refused.error
    assert main(*words, "--image-size=34", "--ep=1").code == 0


def test_a_whole_command_line(cli: Any, six: Path, tmp_path: Path) -> None:
    """In a process of its own: a name that is nearly right, then all about the right one."""
    ended = cli("--train-module", "celebrity-sight", cwd=tmp_path)
    assert ended.returncode == 2 and "did you mean celebrity-site" in ended.stderr and not ended.stdout
    ended = cli("train", "--list", "--recipe", "celebrity-site", "--json", cwd=tmp_path)
    assert json.loads(ended.stdout)["published"]["training_loss"] == 0.00062
