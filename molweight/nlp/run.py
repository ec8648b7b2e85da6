"""``python -m molweight.nlp.run [OPTION=VALUE …]``: adapt a text encoder to a task of GLUE."""

from __future__ import annotations

import sys

from molweight.cli.run import run_command
from molweight.nlp.config import MODALITY


def main(arguments: list[str] | None = None) -> int:
    """Compose, run, print the result; the exit code."""
    return run_command(MODALITY, arguments)


if __name__ == "__main__":
    sys.exit(main())
