"""The shape of the package itself: who imports whom, and what each layer leaves to the others."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "facenet"

LAYERS = (
    ("errors", "geometry", "_version"),
    ("images", "preprocessing", "devices"),
    ("detection", "data"),
    ("models",),
    ("mining", "losses"),
    ("training", "recipes"),
    ("evaluation",),
    ("gallery",),
    ("recognition",),
    ("serving",),
    ("workflows",),
    ("commands",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

MOST_LINES = 350
MOST_FUNCTION_LINES = 60


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(file): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
LENGTHS = {module_name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in PACKAGE.rglob("*.py")}
MODULES = sorted(set(TREES) - {"facenet"})
BELOW_COMMANDS = [name for name in MODULES if name.split(".")[1] not in ("commands", "cli")]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for names and attributes, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(dotted(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imports_of(name: str, tree: ast.AST) -> set[str]:
    """Absolute names of everything imported, wherever in the module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in TREES else node.module)
    return found


def ours(name: str) -> set[str]:
    return {target for target in imports_of(name, TREES[name]) if target.split(".")[0] == "facenet"}


def test_every_module_has_its_layer() -> None:
    assert len(MODULES) > 50
    assert {name.split(".")[1] for name in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_downwards(name: str) -> None:
    level = LEVEL[name.split(".")[1]]
    # The package itself holds nothing but its version.
    targets = {"_version" if target == "facenet" else target.split(".")[1] for target in ours(name)}
    upwards = sorted(target for target in targets if LEVEL[target] > level)
    assert not upwards, f"{name} imports from layers above it: {upwards}"


def test_nothing_is_imported_in_a_circle() -> None:
    graph = {name: ours(name) - {name} for name in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", MODULES)
def test_what_the_rules_below_look_for_is_called_by_its_full_name(name: str) -> None:
    taken_apart = {node.module for node in ast.walk(TREES[name]) if isinstance(node, ast.ImportFrom)}
    assert not taken_apart & {"os", "sys", "random", "pickle", "numpy.random", "torch.random", "PIL.Image"}


@pytest.mark.parametrize("name", BELOW_COMMANDS)
def test_below_the_commands_nothing_prints_parses_or_reads_the_environment(name: str) -> None:
    tree = TREES[name]
    assert not {"argparse", "getopt", "optparse", "rich", "click", "typer"} & {
        target.split(".")[0] for target in imports_of(name, tree)
    }
    assert not {called for called, _ in calls(tree)} & {"print", "input", "os.getenv", "pprint.pprint"}
    used = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"sys.argv", "sys.stdout", "sys.stderr", "sys.stdin"}
    if name != "facenet.models.catalogue":
        assert not used & {"os.environ", "os.environb"}


def test_the_catalogue_reads_nothing_but_the_place_of_the_weights() -> None:
    read = {
        node.args[0].value
        for called, node in calls(TREES["facenet.models.catalogue"])
        if called == "os.environ.get" and isinstance(node.args[0], ast.Constant)
    }
    assert read == {"TORCH_HOME", "XDG_CACHE_HOME"}


@pytest.mark.parametrize("name", MODULES)
def test_pickles_are_never_loaded(name: str) -> None:
    tree = TREES[name]
    forbidden = {"dill", "joblib", "cloudpickle", "shelve", "marshal"}
    assert not forbidden & {target.split(".")[0] for target in imports_of(name, tree)}
    if "pickle" in imports_of(name, tree):
        uses = {dotted(node) for node in ast.walk(tree) if dotted(node).startswith("pickle.")}
        assert uses == {"pickle.UnpicklingError"}, f"{name} does more with pickle than catch its error"
    for called, node in calls(tree):
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if called == "torch.load":
            weights_only = keywords.get("weights_only")
            assert isinstance(weights_only, ast.Constant) and weights_only.value is True
        if called in ("np.load", "numpy.load"):
            assert "allow_pickle" not in keywords


@pytest.mark.parametrize("name", MODULES)
def test_pictures_are_opened_in_one_place(name: str) -> None:
    openers = {"Image.open", "PIL.Image.open", "simplejpeg.decode_jpeg", "cv2.imread", "cv2.imdecode"}
    openers |= {"torchvision.io.read_image", "torchvision.io.decode_image", "torchvision.io.decode_jpeg"}
    if name != "facenet.images":
        assert not {called for called, _ in calls(TREES[name])} & openers


@pytest.mark.parametrize("name", MODULES)
def test_no_global_generator_is_used(name: str) -> None:
    allowed = {"default_rng", "Generator", "PCG64", "SeedSequence"}
    forked = {id(inner) for node in forks(TREES[name]) for inner in ast.walk(node)}
    for called, node in calls(TREES[name]):
        head, _, last = called.rpartition(".")
        if head in ("np.random", "numpy.random"):
            assert last in allowed, f"{name} draws from numpy's global generator"
        if head == "random":
            assert last == "Random", f"{name} draws from Python's global generator"
        if called == "torch.manual_seed":
            assert id(node) in forked, f"{name} seeds torch's global generator"


def forks(tree: ast.AST) -> list[ast.With]:
    """Blocks after which torch's global generator is what it was before."""
    withs = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    return [
        node
        for node in withs
        if any(
            isinstance(item.context_expr, ast.Call) and dotted(item.context_expr.func) == "torch.random.fork_rng"
            for item in node.items
        )
    ]


@pytest.mark.parametrize("name", sorted(TREES))
def test_files_and_functions_stay_readable(name: str) -> None:
    assert LENGTHS[name] <= MOST_LINES
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
            assert length <= MOST_FUNCTION_LINES, f"{name}.{node.name} has {length} lines"


@pytest.mark.parametrize("name", sorted(TREES))
def test_what_is_public_says_what_it_is(name: str) -> None:
    tree = TREES[name]
    if any(not isinstance(node, ast.Expr) for node in tree.body):
        assert ast.get_docstring(tree), f"{name} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name}.{node.name} has no docstring"


@pytest.mark.parametrize(
    "statement", ["import facenet", "import facenet.cli; facenet.cli.build_parser()", "import facenet.models.catalogue"]
)
def test_what_must_be_quick_imports_nothing_heavy(statement: str) -> None:
    heavy = {"torch", "torchvision", "numpy", "PIL", "faiss", "sklearn", "scipy", "lightning_fabric", "rich"}
    code = f"import sys; {statement}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
