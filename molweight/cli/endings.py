"""How a command ends whatever happens in it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from molweight.errors import MolweightError
from molweight.utils.terminal import INDENT, printable_lines


def exit_code(command: Callable[[], int]) -> int:
    """A command's own exit code, or that of an error of the user's, which is a sentence on stderr."""
    try:
        return command()
    except MolweightError as error:
        message(error)
        return error.exit_code
    except KeyboardInterrupt:
        message("interrupted")
        return 130


def message(sentence: object, *, name: str = "molweight") -> None:
    """Print a sentence on stderr: an error, or how a command ended; it may quote a stranger's file."""
    print(f"{name}: {printable_lines(sentence, indent=INDENT)}", file=sys.stderr)
