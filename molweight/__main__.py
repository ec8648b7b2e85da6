"""``python -m molweight COMMAND``: everything around a run. Arguments never pass through Hydra."""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
from contextlib import suppress

from molweight.cli.command_line import COMMANDS, COMPLETED_AS, MOLECULE_COMMANDS, parser
from molweight.cli.endings import exit_code, message
from molweight.cli.option_parser import actions
from molweight.errors import ConfigError, DataError, MolweightError, unknown
from molweight.utils.terminal import log_to_stderr, printable_lines


def main(arguments: list[str] | None = None) -> int:
    """Parse, run a command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] not in (["run"], ["leaderboard"]) and not faulthandler.is_enabled():
        with suppress(OSError, RuntimeError):  # a stderr that is no file, as in some notebooks
            faulthandler.enable()  # a crash of native code shows where; runs have their crash.log
    if arguments[:1] == ["run"]:
        from molweight.run import main as run

        return run(arguments[1:])
    try:
        return exit_code(lambda: dispatched(arguments), arguments)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush at exit
        return 0


def dispatched(arguments: list[str]) -> int:
    """The exit code of the command that the arguments name.

    Raises:
        MolweightError: whatever the command raises; there is none of that name.
    """
    if arguments and arguments[0] in MOLECULE_COMMANDS:
        return answer(arguments[0], arguments[1:])
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise ConfigError(unknown("command", arguments[0], COMMANDS))
    options = parser().parse_args(arguments)
    commands = {
        "completion": completion,
        "convert": convert,
        "datasets": datasets,
        "export": export,
        "leaderboard": leaderboard,
        "report": report,
    }
    return commands[options.command](options)


def answer(name: str, arguments: list[str]) -> int:
    """Predict, embed or explain, and say how it went; the exit code."""
    from molweight.cli.predict import embed_command, explain_command, predict_command

    command = {"predict": predict_command, "embed": embed_command, "explain": explain_command}[name]
    return command(arguments, message)


def completion(options: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    from molweight.cli.predict_options import embed_parser, explain_parser, predict_parser

    try:
        from shtab import DIRECTORY, FILE, complete
    except ImportError as error:
        raise DataError("completion needs shtab: pip install 'molweight[completion]'") from error
    whole = parser({"predict": predict_parser(), "embed": embed_parser(), "explain": explain_parser()})
    for action in actions(whole):
        if kind := COMPLETED_AS.get(str(action.metavar or action.dest)):
            action.complete = FILE if kind == "file" else DIRECTORY  # type: ignore[attr-defined]
    print(complete(whole, shell=options.shell))
    return 0


def convert(options: argparse.Namespace) -> int:
    """Convert a checkpoint and say what was kept."""
    from molweight.models.convert import convert_imagemol, convert_to_imagemol

    if options.source.is_dir() or options.source.suffix == ".safetensors":
        count = convert_to_imagemol(options.source, options.destination)
        say(f"{options.destination}: {count} tensors of the backbone, for ImageMol's finetune.py --resume")
        return 0
    counts = convert_imagemol(options.source, options.destination)
    say(
        f"{options.destination}: {counts['tensors']} tensors of the backbone "
        f"({counts['heads']} of the pretraining heads left behind)"
    )
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a model for other programs and say how close it is."""
    from molweight.inference.exporting import export as write

    difference = write(options.run_dir, options.destination)
    say(f"{options.destination}: differs from predict by {difference:.1g} at most, on eight molecules")
    return 0


def report(options: argparse.Namespace) -> int:
    """Write the page of every run and say where it is."""
    from molweight.reporting.page import save_page

    for run_dir in options.run_dirs:
        say(str(save_page(run_dir)))
    return 0


def datasets(options: argparse.Namespace) -> int:
    """Print what ``datasets list|show|fetch|verify`` has to say; the highest exit code of its parts."""
    from molweight.cli.datasets import action_results

    code = 0
    for result in action_results(options):
        if isinstance(result, MolweightError):
            message(result)
            code = max(code, result.exit_code)
        else:
            say(result)
    return code


def say(text: str) -> None:
    """Print at once; what prints nothing, or is missing in the terminal's encoding, is an escape."""
    text, encoding = printable_lines(text), sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def leaderboard(options: argparse.Namespace) -> int:
    """Run a leaderboard or make its tables again; 0, or the highest exit code of its runs."""
    from molweight.cli.leaderboard import run_command, shown
    from molweight.utils.signals import Interrupted

    log_to_stderr()
    try:
        board = run_command(options.tokens, tables_only=options.tables_only, announce=say)
    except Interrupted as stop:
        message(f"{stop}; the same command continues")
        return stop.exit_code
    say(shown(board))
    return board.exit_code


if __name__ == "__main__":
    sys.exit(main())
