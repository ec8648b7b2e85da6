"""The pages are built without a warning, and what they say to type works.

Notebooks have a file of their own, so that two processes share the work. This one has many tests: a run of
all tests begins with the files that have most.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys

import pytest
from notebooks import ALONE, NOTEBOOKS, ROOT, code_cells

from molweight import load_config
from molweight.config.image_run import MODALITY
from molweight.nlp import load_config as load_text_config
from molweight.nlp.config import MODALITY as TEXT
from molweight.runs.sweep import asks_for_sweep, plan_sweep


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What ``make docs`` makes, but for the notebooks that ``test_docs_notebooks.py`` runs."""
    out = tmp_path_factory.mktemp("docs")
    options = ["--fail-on-warning", "--keep-going", "-q", "-c", "docs"]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sphinx", *options, ".", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5_000:]
    return out


@pytest.mark.timeout(600)
def test_the_pages_are_built(built):
    index = (built / "docs" / "index.html").read_text()
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert (built / "docs" / f"{page.stem}.html").is_file()
        if page.stem != "index":
            assert f"{page.stem}.html" in index, f"{page.name} cannot be reached"
    reference = (built / "docs" / "reference.html").read_text()
    assert "MolWeightRegressor" in reference and "SMILES in a list or series" in reference


def test_a_notebook_shows_what_it_computes(built):
    for notebook in NOTEBOOKS:
        page = (built / "docs" / "notebooks" / f"{notebook.stem}.html").read_text()
        assert page.count('class="cell docutils container"') == len(code_cells(notebook))
        assert ("cell_output" in page) == (notebook.stem == ALONE) and "Traceback" not in page


def test_every_public_name_is_in_the_reference():
    import molweight

    reference = (ROOT / "docs" / "reference.md").read_text()
    assert [name for name in molweight.__all__ if not re.search(rf"\.{name}\b", reference)] == []


def test_python_in_the_pages_is_python():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.S | re.M):
            ast.parse(block)


def commands(module):
    """The arguments of every command of the pages that runs a module."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text().replace("\\\n", " ")
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.S | re.M):
            for line in [] if language else block.splitlines():
                _, found, rest = line.partition(f"python -m {module} ")
                if found:
                    rest = rest.partition("  #")[0].partition(";")[0]
                    yield pytest.param(rest, id=f"{page.stem}: {rest[:60]}")


@pytest.mark.parametrize("line", commands("molweight.run"))
def test_every_run_of_the_pages_is_a_configuration(line):
    if asks_for_sweep(shlex.split(line)):
        assert plan_sweep(MODALITY, shlex.split(line)).jobs
        return
    words = [word for word in shlex.split(line) if not word.startswith("--") and "$" not in word]
    words = [word for word in words if "=" in word and "…" not in word and "0,1,2" not in word]
    assert load_config("run_dir=x", *[word for word in words if not word.startswith("run_dir=")]).hash


@pytest.mark.parametrize("line", commands("molweight.nlp.run"))
def test_every_run_of_text_of_the_pages_is_a_configuration(line):
    if asks_for_sweep(shlex.split(line)):
        assert plan_sweep(TEXT, shlex.split(line)).jobs
        return
    words = [word for word in shlex.split(line) if "=" in word and "…" not in word]
    assert load_text_config("run_dir=x", *words).hash
