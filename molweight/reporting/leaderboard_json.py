"""The types of ``leaderboard.json``, for those who compute it, render it and draw it."""

from __future__ import annotations

from typing import TypedDict


class Spread(TypedDict):
    """Over seeds; the standard deviation (ddof=1) of one is NaN."""

    n: int
    mean: float
    sd: float


class Cost(TypedDict):
    """Means over runs; NaN where none reports it."""

    seconds: float
    images: float
    parameters: float


class Intervals(TypedDict):
    """Of a method's mean and of its difference to the reference, and the seeds that are in them."""

    interval: tuple[float, float] | None
    interval_seeds: list[int]
    difference: float | None
    difference_interval: tuple[float, float] | None


class PValues(TypedDict):
    """Of a method against the reference over ``pairs`` seeds; NaN where there is none."""

    p: float
    p_holm: float
    pairs: int


class MethodEntry(Cost, Intervals, PValues):
    """One method on one data set."""

    method: str
    seeds: list[int]
    scores: list[float]
    test: Spread
    valid: Spread
    best: bool


class DatasetEntry(TypedDict):
    """One data set; ``methods`` are best first."""

    dataset: str
    metric: str
    split: str
    protocol: str
    data_sha256: str
    n_train: int
    n_test: int
    corpus: str | None
    split_hashes: list[str]
    label: str
    higher_is_better: bool
    test: str
    smallest_p: float | None
    methods: list[MethodEntry]


class MethodCost(Cost):
    """One method over all runs."""

    method: str


class MethodRank(TypedDict):
    """The average rank of a method."""

    method: str
    rank: float


class Ranks(TypedDict):
    """Over data sets on which every method has a score; ``skipped`` says why there are none."""

    datasets: list[str]
    of: int
    methods: list[MethodRank]
    friedman_p: float | None
    friedman_exact: bool | None
    critical_difference: float | None
    skipped: str | None


class Comparison(TypedDict):
    """The reference against one method over pairs of data set and seed."""

    method: str
    datasets: list[str]
    pairs: int
    better: int
    p: float
    p_holm: float


class Agreement(TypedDict):
    """How alike the weights of different seeds are."""

    dataset: str
    method: str
    n: int
    cosine: float
    weights: dict[str, float]


class AnovaEntry(TypedDict):
    """Whether the choice of the objective matters on one data set."""

    dataset: str
    objectives: int
    seeds: list[int]
    between: float
    within: float
    p: float
    valid_test: float
    runs: int


class DatasetWeights(TypedDict):
    """The weights of each seed on one data set."""

    dataset: str
    seeds: list[int]
    weights: list[dict[str, float]]


class LearnedWeights(TypedDict):
    """The weights that one method learned."""

    method: str
    objectives: list[str]
    datasets: list[DatasetWeights]


class FailedRun(TypedDict):
    """A run without a result."""

    dataset: str
    method: str
    seed: int
    error: str
    run: str


class Provenance(TypedDict):
    """Versions that took part, and the commands that make the rows again."""

    versions: list[dict[str, str]]
    commands: list[str]


class Summary(TypedDict):
    """The content of ``leaderboard.json``."""

    schema: int
    reference: str | None
    resamples: int
    datasets: list[DatasetEntry]
    ranks: Ranks
    comparison: list[Comparison]
    methods: list[MethodCost]
    agreement: list[Agreement]
    corners: list[AnovaEntry]
    learned: LearnedWeights | None
    failed: list[FailedRun]
    without_score: list[str]
    provenance: Provenance
