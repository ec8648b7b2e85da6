"""Errors name options; whoever shows them spells them."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from molweight.cli.endings import exit_code
from molweight.errors import ConfigError, DataError, DivergedError, MolweightError, ProcessLostError, option

HINT = f"use {option('device', 'cpu')}, or another {option('corpus.path')}"
KINDS = (MolweightError, ConfigError, DataError, DivergedError, ProcessLostError)


def failing(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_its_sentence_with_options_as_a_run_takes_them(kind):
    assert str(kind("no {such} file")) == "no {such} file", "braces in a sentence are the user's"
    assert str(kind(f"give {option('seed', '0')}")) == "give seed=0"
    error = kind("tpu is not here", option="device", hint=HINT)
    assert str(error) == "device=tpu is not here: use device=cpu, or another corpus.path="
    again = pickle.loads(pickle.dumps(error))  # as from another process
    assert type(again) is kind and str(again) == str(error)
    assert (again.option, again.hint) == ("device", error.hint)


def test_a_command_spells_options_as_its_user_did(capsys):
    error = ConfigError("tpu is not here", option="device", hint=f"use {option('device', 'cpu')}")
    for arguments in (["predict", "--device", "tpu"], ["predict", "--device=tpu"]):
        assert exit_code(failing(error), arguments) == 2
        assert capsys.readouterr().err == "molweight: --device tpu is not here: use --device cpu\n"
    assert exit_code(failing(error), ["device=tpu"]) == 2
    assert capsys.readouterr().err == "molweight: device=tpu is not here: use device=cpu\n"


def test_no_hint_writes_an_option_in_braces_instead_of_naming_it():
    """As an earlier form did; such braces would be shown."""
    for file in (Path(__file__).resolve().parents[1] / "molweight").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                texts = [c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant)]
                assert not [text for text in texts if "{" in str(text)], f"{file}:{node.value.lineno}"
