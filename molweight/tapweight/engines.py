"""Which engine drives the levels."""

from __future__ import annotations

from typing import TypedDict, Unpack

from molweight.errors import ConfigError, option, unknown
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.betty_solver import BettySolver, find_betty
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import ThreeLevels
from molweight.tapweight.solver import Solver, Unroll

SOLVERS = ("auto", "betty", "native")


class SolverOptions(TypedDict, total=False):
    """What else a :class:`molweight.tapweight.solver.Solver` takes."""

    unroll: Unroll | None
    averaging: AveragingConfig | None
    burn_in: int


def make_solver(
    name: str,
    levels: ThreeLevels,
    hypergradient: Hypergradient,
    *,
    learn: bool = True,
    **options: Unpack[SolverOptions],
) -> Solver:
    """The solver of a name: ``native``, ``betty``, or ``auto`` (Betty 0.2 where it is importable).

    With ``learn=False`` there is no level 3 to chain, and the native loop runs whatever the name.

    Raises:
        ConfigError: unknown name, or Betty is asked for and not importable.
    """
    if name not in SOLVERS:
        raise ConfigError(unknown("solver", name, SOLVERS))
    version = find_betty()
    if name == "betty" and version is None:
        raise ConfigError(
            "betty needs Betty 0.2",
            option="solver",
            hint="pip install --no-deps --ignore-requires-python betty-ml==0.2.1, or use "
            f"{option('solver', 'native')}, "
            "which does the same arithmetic",
        )
    solver = Solver if name == "native" or version is None or not learn else BettySolver
    return solver(levels, hypergradient, learn=learn, **options)
