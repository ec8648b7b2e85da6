"""The page of all options: generated, whole, and with an explanation of each option."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from molweight.config.composition import compose_config
from molweight.config.explanations import arguments_of, field_texts
from molweight.config.modality import HOMES, find_modality
from molweight.config.options import sections
from molweight.data.specs import DatasetSpec
from molweight.tapweight.horizon import TruncatedInverse

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "options.md"


def test_the_committed_page_is_what_is_generated():
    page = runpy.run_path(str(DOCS / "options_page.py"))["page"]
    assert PAGE.read_text(encoding="utf-8") == page(), "python docs/options_page.py > docs/options.md"


def test_no_option_is_without_an_explanation():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_option_stands_once():
    page, _, text = PAGE.read_text(encoding="utf-8").partition("## `task` (text)")
    names = re.findall(r"^\| (`[\w.]+`) \|", page + text.replace("\n| `", "\n| `text "), flags=re.M)
    assert len(names) == len(set(names))


def leaves(tree, prefix=""):
    """Dotted names of the values of nested dictionaries."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and "_target_" not in value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("modality", HOMES)
def test_every_value_of_the_configuration_is_an_option(modality):
    modality = find_modality(modality)
    found = {option.name for section in sections(modality) for option in section.options}
    values = OmegaConf.to_container(compose_config([], modality.tree), resolve=False)
    chosen = {f"{name}.name" for name in values} | {
        "experiment",
        *(f"objectives.{o}" for o in values["objectives"]),
    }
    assert set(leaves(values)) - chosen - found == set()


def test_explanations_come_from_docstrings_and_fields():
    assert "Lanczos" not in field_texts(TruncatedInverse)["steps"]
    assert field_texts(TruncatedInverse)["iterations"] == "Hessian products, > 0."
    assert field_texts(DatasetSpec)["path"].startswith("The user's file")
    assert arguments_of(
        "Sum.\n\nArgs:\n    a, b: the\n        terms.\n    c: None: no limit.\n\nReturns:\n    d: it."
    ) == {
        "a": "The terms.",
        "b": "The terms.",
        "c": "`null`: no limit.",
    }
