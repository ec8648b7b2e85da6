"""Help and completion of the commands."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from molweight.__main__ import main
from molweight.cli.command_line import COMMANDS as KNOWN
from molweight.cli.command_line import MOLECULE_COMMANDS, parser
from molweight.cli.predict import FILE_ENDINGS
from molweight.data.readers import READERS
from molweight.nlp.run import main as text
from molweight.run import main as run

COMMANDS = ("convert", "datasets", "export", "leaderboard", "report", "completion", *MOLECULE_COMMANDS)


ACTIONS = [f"datasets {action}" for action in ("list", "show", "fetch", "verify")]


@pytest.mark.parametrize("command", ["", *COMMANDS, *ACTIONS])
def test_help_has_six_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    text = capsys.readouterr().out.partition("examples:")[2]
    examples = [line for line in text.splitlines() if re.match(r"  \S", line)]
    assert stop.value.code == 0 and len(examples) >= 6, text


@pytest.mark.parametrize("module", ["molweight.run", "molweight.nlp.run"])
def test_help_of_a_run_has_six_examples_and_all_groups(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(f"  python -m {module}") >= 6
    assert "experiment: " in done.stdout and "$" not in done.stdout


@pytest.mark.parametrize("command", [main, run, text])
def test_versions_are_told(command, capsys):
    try:
        assert command(["--version"]) == 0
    except SystemExit as end:  # argparse's way
        assert end.code == 0
    line = capsys.readouterr().out
    assert line.startswith(f"molweight {version('molweight')} (python {platform.python_version()}, torch ")
    assert f"rdkit {version('rdkit')}" in line and line.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_shells_complete_every_command_and_option(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "--confidence", "--weights", "--steps", "--tables-only", "fetch"):
        assert word.removeprefix("--") in script, word


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_bash_takes_the_script(tmp_path, capsys):
    """Commands, and files and folders where those are asked for."""
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mine.csv").touch()
    (tmp_path / "my_run").mkdir()
    answers = {"pre": ["predict"], "predict m": ["my_run"], "predict my_run -i mine": ["mine.csv"]}
    for typed, expected in answers.items():
        words = f"COMP_WORDS=(molweight {typed}); COMP_CWORD={len(typed.split())}"
        line = f"source ./script; {words}; _shtab_molweight; echo ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.split() == expected, done.stderr


def test_without_the_extra_there_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 5
    assert "pip install 'molweight[completion]'" in capsys.readouterr().err


def test_an_unknown_command_is_refused(capsys):
    assert main(["predikt", "x"]) == 2
    assert "unknown command 'predikt'. Did you mean 'predict'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "nearest"),
    [
        ("predict run CCO --confidnce 0.9", "--confidence"),
        ("embed run --weigths adapted CCO", "--weights"),
        ("leaderboard datasets=esol --table-only", "--tables-only"),
        ("datasets lst", "list"),
        ("completion bsh", "bash"),
    ],
)
def test_a_misspelt_option_gets_the_nearest(line, nearest, capsys):
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert stop.value.code == 2 and f". Did you mean {nearest!r}?" in capsys.readouterr().err


def test_every_command_is_known_by_its_name():
    (commands,) = parser()._subparsers._group_actions
    assert set(commands.choices) == set(KNOWN)


def test_every_kind_of_file_is_known_as_one():
    assert {*READERS, ".gz"} == set(FILE_ENDINGS)


def test_a_file_is_not_taken_for_a_smiles(tmp_path, capsys):
    for name in ("new.csv", "library.sdf.gz", "x.SMI"):
        assert main(["predict", str(tmp_path), "CCO", name]) == 2
        assert f"give it with -i {name}" in capsys.readouterr().err
