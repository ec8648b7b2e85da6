"""``python -m molweight COMMAND``: everything around a run. Arguments never pass through Hydra."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from molweight.errors import MolweightError
from molweight.terminal import printable

EXAMPLES = """examples:
  python -m molweight run dataset=tox21 seed=1
  python -m molweight convert ImageMol.pth.tar imagemol.safetensors
  python -m molweight.run backbone=resnet18 backbone.init=imagemol.safetensors dataset=bbbp
  python -m molweight datasets list
"""
DATASETS_EXAMPLES = """examples:
  python -m molweight datasets show tox21
  python -m molweight datasets show my.csv --smiles-column SMILES --targets logD
  python -m molweight datasets fetch esol bbbp
  python -m molweight datasets verify --all
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, run a command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["run"]:
        from molweight.run import main as run

        return run(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        return {"convert": convert, "datasets": datasets}[options.command](options)
    except MolweightError as error:
        print(f"molweight: {printable(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("molweight: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to flush at exit
        return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="molweight",
        description="Task-adaptive pretraining of molecule-image models with learned objective weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="adapt a backbone to a data set (same as python -m molweight.run)")
    command = commands.add_parser("convert", help="turn ImageMol's .pth.tar weights into a .safetensors file")
    command.add_argument("source", type=Path, help="ImageMol.pth.tar")
    command.add_argument("destination", type=Path, help="a new .safetensors file")
    add_datasets(commands)
    return top


def add_datasets(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``datasets`` and its actions."""
    command = commands.add_parser(
        "datasets",
        help="list, show, fetch and verify data sets",
        epilog=DATASETS_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("list", help="every data set that is known by name, and where its file is")
    action.add_argument("--json", action="store_true", help="for machines")
    action = actions.add_parser("show", help="rows, duplicates, labels and scaffolds of one data set")
    action.add_argument("name", metavar="NAME", help="a data set, or a file of your own")
    action.add_argument("--path", metavar="FILE", help="read this file instead")
    action.add_argument("--smiles-column", metavar="COLUMN", help="where the SMILES are")
    action.add_argument("--targets", metavar="COLUMN", nargs="+", help="where the labels are")
    action.add_argument("--task-type", metavar="TYPE", help="classification or regression")
    action.add_argument("--all", action="store_true", help="every target, however many there are")
    action.add_argument("--json", action="store_true", help="for machines; always every target")
    action = actions.add_parser("fetch", help="download data sets and check them")
    action.add_argument("names", metavar="NAME", nargs="*", help="data sets")
    action.add_argument("--all", action="store_true", help="every one")
    action.add_argument("--sha256", metavar="CHECKSUM", help="of the one file, if its card has none")
    action = actions.add_parser("verify", help="compare files with the checksums of their cards")
    action.add_argument("names", metavar="NAME", nargs="*", help="data sets")
    action.add_argument("--all", action="store_true", help="every one")


def convert(options: argparse.Namespace) -> int:
    """Convert a checkpoint and say what was kept."""
    from molweight.molecules.convert import convert_imagemol

    found = convert_imagemol(options.source, options.destination)
    print(
        f"{options.destination}: {found['tensors']} tensors of the backbone "
        f"({found['heads']} of the pretraining heads left behind)"
    )
    return 0


def datasets(options: argparse.Namespace) -> int:
    """Print what ``datasets list|show|fetch|verify`` has to say; the highest exit code of its parts."""
    from molweight.datasets_command import answers

    code = 0
    encoding = sys.stdout.encoding or "utf-8"
    for answer in answers(options):
        if isinstance(answer, MolweightError):
            print(f"molweight: {printable(answer)}", file=sys.stderr)
            code = max(code, answer.exit_code)
        else:
            print(answer.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
