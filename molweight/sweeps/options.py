"""The words of a command with ``--multirun``: which options every job has, and where and how they run."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from molweight.config.composition import Tree, config_dir, explain, in_folder
from molweight.config.run_config import NOT_HASHED
from molweight.errors import ConfigError

PLACES = ("hydra.sweep.dir", "hydra.sweep.subdir")
HELP = ("-h", "--help", "--hydra-help", "--version")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The options of one job.

    Args:
        options: all of them, in the order of the command.
        swept: those that differ between jobs.
    """

    options: tuple[str, ...]
    swept: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(self.swept)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks for.

    Args:
        choices: one for each job.
        places: options that say where.
        launcher: name, if one is asked for.
        launcher_options: its settings.
        digest: of the options that all jobs share and of the names of the others, so that the same command
            finds its folder again, also with more values, another launcher or another device.
    """

    choices: list[Choice]
    places: tuple[str, ...]
    launcher: str | None
    launcher_options: tuple[str, ...]
    digest: str


def asks_for_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command is a sweep, and not a question about one."""
    return any(is_flag(word) for word in arguments) and not set(HELP) & set(arguments)


def is_flag(word: str) -> bool:
    """``--multirun``, as Hydra's own parser would read it."""
    return word in ("-m", "hydra.mode=MULTIRUN") or (word.startswith("--m") and "--multirun".startswith(word))


def read_request(arguments: Sequence[str], tree: Tree) -> Request:
    """What a command asks for.

    Raises:
        ConfigError: a word cannot be read, has no effect in a sweep, or contradicts another one.
    """
    words = [word for word in arguments if not is_flag(word)]
    for word in words:
        if word.startswith("-"):
            raise ConfigError(
                f"--multirun runs jobs, and {word} has no part in that: leave one of the two out"
            )
    own = [word for word in words if not key_of(word).startswith(("hydra.", "hydra/"))]
    launchers = [word for word in words if key_of(word) == "hydra/launcher"]
    settings = tuple(word for word in words if key_of(word).startswith("hydra.launcher."))
    places = tuple(word for word in words if key_of(word) in PLACES)
    known = (*own, *launchers, *settings, *places)
    if needless := [word for word in words if word not in known]:
        raise ConfigError(
            f"{needless[0]} has no effect in a sweep, which is every combination of the values that are "
            f"listed; of Hydra's options it knows hydra/launcher, hydra.launcher.* and {', '.join(PLACES)}"
        )
    if len(launchers) > 1:
        raise ConfigError("hydra/launcher= is given twice; give it once")
    if "hydra.sweep.dir" in map(key_of, places) and "run_dir" in map(key_of, own):
        raise ConfigError(
            "run_dir= and hydra.sweep.dir= both say where the jobs' folders are; give one of them"
        )
    launcher = launchers[0].partition("=")[2] if launchers else None
    if settings and launcher is None:
        raise ConfigError(
            f"{settings[0]} has no effect without a launcher; choose one, such as hydra/launcher=joblib"
        )
    choices = combinations(own, tree)
    varying = [key_of(word) for word in choices[0].swept]
    fixed = [word for word in own if key_of(word) not in (*varying, *NOT_HASHED)]
    content = json.dumps([tree.primary, sorted(fixed), sorted(varying)])
    return Request(
        choices=choices,
        places=places,
        launcher=launcher,
        launcher_options=settings,
        digest=hashlib.sha256(content.encode()).hexdigest()[:8],
    )


def combinations(words: Sequence[str], tree: Tree) -> list[Choice]:
    """The options of every job; the last value that is listed changes first.

    Raises:
        ConfigError: a word cannot be read, lists nothing, or contradicts another one.
    """
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        parser = OverridesParser.create(GlobalHydra.instance().config_loader())
        columns = [alternatives(word, tree, parser) for word in words]
    keys = [key_of(word) for word in words]
    swept = [key for key, column in zip(keys, columns, strict=True) if column is not None]
    if twice := next((key for key in swept if keys.count(key) > 1), None):
        raise ConfigError(f"{twice}= is given twice; separate several values with commas")
    values = [[word] if column is None else column for word, column in zip(words, columns, strict=True)]
    return [
        Choice(options=row, swept=tuple(word for word in row if key_of(word) in swept))
        for row in itertools.product(*values)
    ]


def alternatives(word: str, tree: Tree, parser: OverridesParser) -> list[str] | None:
    """The options that a word lists; None if it is a single one.

    Raises:
        ConfigError: it cannot be read, or lists nothing.
    """
    key, _, value = word.partition("=")
    try:
        override = parser.parse_overrides([in_folder(word, tree)])[0]
    except HydraException as error:
        if "," not in value:
            return None  # the name of a file, perhaps; the composition judges it
        raise ConfigError(explain(error, [word], tree)) from error
    if not override.is_sweep_override():
        return None
    if not override.is_discrete_sweep():
        raise ConfigError(f"{word} is a range without values to try; list them: {key}=…,…")
    try:
        values = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(explain(error, [word], tree)) from error
    if not values:
        raise ConfigError(f"{word} lists no value")
    return [f"{key}={as_typed(one, is_name=key in (*tree.files, *tree.others))}" for one in values]


def as_typed(value: str, *, is_name: bool) -> str:
    """A value without what Hydra adds: it writes ``single:jigsaw`` with a backslash before the colon.

    Args:
        value: from Hydra's parser.
        is_name: quotes are none of it, as those who look for a file expect.
    """
    quotes = re.fullmatch(r"(['\"])(.*)\1", value, flags=re.DOTALL)
    if quotes is None:
        return value.replace("\\:", ":")
    return quotes[2].replace(f"\\{quotes[1]}", quotes[1]) if is_name else value


def key_of(word: str) -> str:
    """The option that a word sets."""
    return word.partition("=")[0].lstrip("+~")
