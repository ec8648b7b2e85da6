"""How a command ends whatever happens in it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from molweight.errors import MolweightError
from molweight.terminal import printable


def exit_code(command: Callable[[], int]) -> int:
    """A command's own exit code, or that of an error of the user's, which is a sentence on stderr."""
    try:
        return command()
    except MolweightError as error:
        print(f"molweight: {printable(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("molweight: interrupted", file=sys.stderr)
        return 130
