"""How a command ends whatever happens in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from molweight.errors import MolweightError, assignment
from molweight.utils.terminal import INDENT, printable_lines


def exit_code(command: Callable[[], int], arguments: Sequence[str] = ()) -> int:
    """A command's own exit code, or that of an error of the user's, which is a sentence on stderr.

    Args:
        command: to run.
        arguments: that the user gave; options among them are spelled as they are there, with dashes.
    """

    def spell(option: str, value: str) -> str:
        given = any(argument.partition("=")[0] == f"--{option}" for argument in arguments)
        return f"--{option} {value}" if given else assignment(option, value)

    try:
        return command()
    except MolweightError as error:
        message(error.told(spell))
        return error.exit_code
    except KeyboardInterrupt:
        message("interrupted")
        return 130


def message(sentence: object, *, name: str = "molweight") -> None:
    """Print a sentence on stderr: an error, or how a command ended; it may quote a stranger's file."""
    print(f"{name}: {printable_lines(sentence, indent=INDENT)}", file=sys.stderr)
