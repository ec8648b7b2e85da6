"""What a terminal would obey is escaped, whoever says it; the project's own line breaks stay."""

from __future__ import annotations

import logging
import re
import sys

import pytest

from molweight.__main__ import main
from molweight.nlp.run import main as text
from molweight.run import main as run
from molweight.utils.terminal import log_to_stderr, printable_lines

RED = "\x1b[31m"
LABELS = "".join(f"{'C' * n}O,1\n" for n in range(1, 20))  # one class only, which no run accepts


def obeyed(printed):
    """Characters that move the cursor, change the colour, or turn the direction of writing."""
    return re.findall(r"[^\n\x20-\x7e\xa1-\u1fff]", printed)


def test_lines_stay_and_nothing_else():
    assert printable_lines(f"a\n{RED}b\r\n\tc", indent="  ") == "a\n  \\x1b[31mb\\r\n  \\tc"
    assert printable_lines(ValueError("one line")) == "one line"


def test_warnings_are_printable(monkeypatch, capsys):
    monkeypatch.setattr(logging.root, "handlers", [])
    log_to_stderr()
    logging.getLogger("molweight.test").warning("%s cannot be read\n%s", f"{RED}my.csv", "second")
    assert capsys.readouterr().err == "\\x1b[31mmy.csv cannot be read\n  second\n"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (run, [f"dataset='{RED}gone.csv'"]),
        (run, ["dataset=labels.csv"]),  # the column
        (run, ["--multirun", f"dataset='{RED}gone.csv'", "seed=0,1", "run_dir=sweep"]),
        (text, ["task=rte", f"task.path='{RED}gone'"]),
        (main, ["leaderboard", f"datasets={RED}gone.csv", "methods=direct", "seeds=0"]),
        (main, ["datasets", "show", f"{RED}gone.csv"]),
        (main, ["predict", f"{RED}gone", "CCO"]),
        (main, ["convert", f"{RED}gone.pth.tar", "here.safetensors"]),
    ],
)
def test_errors_that_quote_a_stranger_are_printable(command, arguments, tmp_path, monkeypatch, capsys):
    (tmp_path / "labels.csv").write_text(f"smiles,{RED}y\n{LABELS}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(tmp_path))
    assert command(arguments) in (2, 5)
    printed = "".join(capsys.readouterr())
    assert obeyed(printed) == [] and r"\x1b[31m" in printed


def test_the_difference_to_another_configuration_keeps_its_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["molweight.run"])
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "status.json").write_text('{"state": "interrupted", "config_hash": "another"}')
    (folder / "config.yaml").write_text('seed: "\\e[31m"\n')
    assert run(["run_dir=run", "seed=7"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "  +seed: 7" in lines and r'  -seed: "\e[31m"' in lines and not obeyed("\n".join(lines))
