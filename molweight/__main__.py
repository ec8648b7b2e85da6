"""``python -m molweight COMMAND``: everything around a run. Arguments never pass through Hydra."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from molweight.errors import MolweightError

EXAMPLES = """examples:
  python -m molweight run dataset=tox21 seed=1
  python -m molweight convert ImageMol.pth.tar imagemol.safetensors
  python -m molweight.run backbone=resnet18 backbone.init=imagemol.safetensors dataset=bbbp
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, run a command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["run"]:
        from molweight.run import main as run

        return run(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        return convert(options)
    except MolweightError as error:
        print(f"molweight: {error}", file=sys.stderr)
        return error.exit_code


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
    return top


def convert(options: argparse.Namespace) -> int:
    """Convert a checkpoint and say what was kept."""
    from molweight.molecules.convert import convert_imagemol

    found = convert_imagemol(options.source, options.destination)
    print(
        f"{options.destination}: {found['tensors']} tensors of the backbone "
        f"({found['heads']} of the pretraining heads left behind)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
