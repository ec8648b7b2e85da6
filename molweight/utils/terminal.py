"""Text for a terminal or a pipe: nothing that moves the cursor, columns that line up, 80 wide."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Sequence

WIDTH = 80
INDENT = "  "  # of what follows the first line of a message: no line in it passes for another message


def printable(text: object) -> str:
    """Text in which every character that prints nothing is an escape: ``\\x1b``, ``\\n``, ``\\u202e``."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text)
    )


def printable_lines(text: object, *, indent: str = "") -> str:
    """Printable text that keeps its line breaks; lines after the first one begin with ``indent``."""
    return f"\n{indent}".join(map(printable, str(text).split("\n")))


class PrintableFormatter(logging.Formatter):
    """Log records as printable text, for they quote files too."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and a traceback if there is one."""
        return printable_lines(super().format(record), indent=INDENT)


def log_to_stderr() -> None:
    """Show warnings on stderr, unless the program around this one has set up logging already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def shortened(text: str, width: int) -> str:
    """Printable text of at most ``width`` characters, ending in ``...`` if something was cut off."""
    text = printable(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def columns(rows: Sequence[Sequence[object]], *, align: str) -> list[str]:
    """Lines in which the cells of every column stand below each other, two spaces apart.

    Args:
        rows: cells, as many in every row as ``align`` has characters; whole numbers get thousands separators.
        align: ``<`` or ``>`` for each column.
    """
    cells = [[f"{cell:,}" if isinstance(cell, int) else printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column), default=0) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def described(label: str, text: str, *, indent: int) -> list[str]:
    """A label and its text, wrapped beside it; addresses and other long words stay whole."""
    return textwrap.wrap(
        printable(text),
        width=WIDTH,
        initial_indent=f"{label:<{indent}}",
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
