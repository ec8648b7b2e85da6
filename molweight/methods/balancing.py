"""Continued pretraining under a rule that balances losses, or gradients."""

from __future__ import annotations

from collections.abc import Sequence

from molweight.errors import ConfigError
from molweight.methods.base import RunConfig
from molweight.methods.continued_pretraining import ContinuedPretraining
from molweight.tapweight.balancing import Balance, make_balance


class BalancingRule(ContinuedPretraining):
    """A rule of the same name."""

    def balance(self, names: Sequence[str]) -> Balance:
        """The rule, at its start."""
        return make_balance(self.name, len(names))

    def check(self, config: RunConfig) -> None:
        """It follows the losses as they are, and may need a package."""
        if config.precision == "float16":
            raise ConfigError(
                f"precision=float16 scales losses, which method={self} would follow: use precision=bfloat16"
            )
        self.balance([objective.name for objective in config.samples.objectives])


class Uncertainty(BalancingRule):
    """Continued pretraining; each loss is divided by a learned variance (Kendall et al. 2018)."""

    name = "uncertainty"


class DynamicWeightAverage(BalancingRule):
    """Continued pretraining; losses that fall slowly weigh more (Liu et al. 2019)."""

    name = "dwa"


class GradNorm(BalancingRule):
    """Continued pretraining; losses that have fallen least get the largest gradients (Chen et al. 2018)."""

    name = "gradnorm"


class MultipleGradientDescent(BalancingRule):
    """Continued pretraining; gradients are combined to their shortest mean (Desideri 2012)."""

    name = "mgda"


class GradientSurgery(BalancingRule):
    """Continued pretraining; gradients lose what points against another one (Yu et al. 2020)."""

    name = "pcgrad"


class UnconflictingProjection(BalancingRule):
    """Continued pretraining; gradients are projected so that no loss rises (Quinton and Rey 2024)."""

    name = "upgrad"
