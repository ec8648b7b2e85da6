"""What a run does about the objectives' weights: one name for each way, learned or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from molweight.errors import ConfigError, DataError, unknown
from molweight.tapweight.balancing import BALANCES, Balance, Fixed, make_balance
from molweight.utils.files import read_json

PLAIN = (
    "tapweight",  # three levels: the weights are learned from the validation loss
    "bilevel",  # two levels: one model learns objectives and task, the weights follow the validation loss
    "equal",  # continued pretraining with equal weights
    *BALANCES,  # continued pretraining, the losses balanced by a rule
    "random_search",  # several random weightings, the best on validation
    "direct",  # no pretraining here: the backbone as it comes
    "scratch",  # no pretraining at all: a random backbone
    "ecfp_rf",  # no network: Morgan fingerprints and a random forest
)
WITH_ARGUMENT = {"single": "an objective", "fixed": "a JSON file of weights, or a report.json"}
OPTIONAL = {"tapweight": "a hypergradient preset"}
LEARNED = ("tapweight", "bilevel")
NO_PRETRAINING = ("direct", "scratch", "ecfp_rf")
NO_NETWORK = ("ecfp_rf",)


@dataclass(frozen=True)
class Method:
    """A method and its argument.

    Args:
        name: of :data:`PLAIN` or :data:`WITH_ARGUMENT`.
        argument: of ``single:<objective>``, ``fixed:<file>`` and ``tapweight:<hypergradient>``; else empty.
    """

    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def pretrains(self) -> bool:
        """Whether the backbone is trained on unlabelled molecules."""
        return self.name not in NO_PRETRAINING

    @property
    def learns(self) -> bool:
        """Whether weights are learned by implicit differentiation."""
        return self.name in LEARNED

    def balance(self, names: Sequence[str]) -> Balance:
        """How level 1 weighs its losses under a method without a third level.

        Args:
            names: of the objectives, [k].

        Raises:
            ConfigError: the weights of ``fixed:`` are not those of the objectives.
            DataError: its file cannot be read.
        """
        if self.name == "fixed":
            return Fixed(read_weights(Path(self.argument), names))
        return make_balance("equal" if self.name == "single" else self.name, len(names))


def parse_method(text: object) -> Method:
    """A method by its name, ``single:<objective>``, ``fixed:<file>`` or ``tapweight:<hypergradient>``.

    Raises:
        ConfigError: unknown, or an argument too few or too many.
    """
    name, _, argument = str(text).partition(":")
    known = [*PLAIN, *(f"{name}:<{what}>" for name, what in (WITH_ARGUMENT | OPTIONAL).items())]
    if name in WITH_ARGUMENT:
        if not argument:
            raise ConfigError(f"method={name} needs {WITH_ARGUMENT[name]}: method={name}:…")
        return Method(name, argument)
    if name not in PLAIN or (argument and name not in OPTIONAL):
        raise ConfigError(unknown("method", text, known))
    return Method(name, argument)


def read_weights(path: Path, names: Sequence[str]) -> list[float]:
    """The weights [k] of a JSON file: a mapping by objective, or a ``report.json``.

    Raises:
        ConfigError: other objectives than ``names``, or no numbers >= 0.
        DataError: unreadable.
    """
    try:
        content = read_json(path.expanduser())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read weights from {path}: {error}") from error
    if isinstance(content, dict) and "weights" in content:
        content = content["weights"]
    if not isinstance(content, dict) or set(content) != set(names):
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(f"{path} must hold a weight for each of {', '.join(names)}; found {found}")
    values = [content[name] for name in names]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not numbers or min(values) < 0 or sum(values) == 0:
        raise ConfigError(f"{path}: weights must be numbers >= 0, not all zero, found {values}")
    return [float(value) for value in values]
