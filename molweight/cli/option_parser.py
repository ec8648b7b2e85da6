"""argparse, whose complaints name the nearest option or command."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator
from typing import Any, NoReturn

UNKNOWN = re.compile(r"(?:unrecognized arguments: (?:.*? )?(?=--)|.*invalid choice: ')([\w-]+)")


class Parser(argparse.ArgumentParser):
    """A parser of options, whose help keeps its line ends; so are those of its commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **settings})

    def error(self, message: str) -> NoReturn:
        """Exit with 2 after a sentence."""
        match = UNKNOWN.match(message)
        close = difflib.get_close_matches(match[1], names(self), n=1) if match else []
        hint = f". Did you mean {close[0]!r}?" if close else ""
        super().error(message + hint)


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and places of a parser and of its commands'."""
    for action in parser._actions:
        yield action
        for command in action.choices.values() if isinstance(action.choices, dict) else ():
            yield from actions(command)


def names(parser: argparse.ArgumentParser) -> list[str]:
    """All that can be written: options, commands, choices."""
    return [
        name
        for action in actions(parser)
        for name in (*action.option_strings, *map(str, action.choices or ()))
    ]
