"""Continued pretraining under weights that stay what they are: equal, one objective's, or those of a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from molweight.errors import ConfigError, DataError, unknown
from molweight.methods.base import AnyNamed
from molweight.methods.continued_pretraining import ContinuedPretraining
from molweight.tapweight.balancing import Balance, Fixed
from molweight.utils.files import read_json


class Equal(ContinuedPretraining):
    """Continued pretraining with equal weights."""

    name = "equal"

    def balance(self, names: Sequence[str]) -> Balance:
        """One for each."""
        return Fixed([1.0] * len(names))


class Single(Equal):
    """Continued pretraining with one objective alone."""

    name = "single"
    takes = "an objective"
    needs_argument = True
    takes_own_objectives = False

    def choose(self, objectives: Sequence[AnyNamed]) -> list[AnyNamed]:
        """The one of that name.

        Raises:
            ConfigError: there is none.
        """
        chosen = [objective for objective in objectives if objective.name == self.argument]
        if not chosen:
            known = [objective.name for objective in objectives]
            raise ConfigError(unknown("objective of method=single:", self.argument, known))
        return chosen


class FixedWeights(ContinuedPretraining):
    """Continued pretraining with given weights."""

    name = "fixed"
    takes = "a JSON file of weights, or a report.json"
    needs_argument = True
    takes_own_objectives = False

    def balance(self, names: Sequence[str]) -> Balance:
        """As the file says."""
        return Fixed(read_weights(Path(self.argument), names))

    def fingerprint(self, objectives: Sequence[str]) -> dict[str, object]:
        """The weights: the file may be edited."""
        return {"weights": read_weights(Path(self.argument), objectives)}


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
        contained = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(f"{path} must hold a weight for each of {', '.join(names)}; found {contained}")
    values = [content[name] for name in names]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not numbers or min(values) < 0 or sum(values) == 0:
        raise ConfigError(f"{path}: weights must be numbers >= 0, not all zero, found {values}")
    return [float(value) for value in values]
