"""``leaderboard.json``: the numbers behind every table, from the rows and what the runs predicted.

``tables``, ``page`` and the plots read nothing but what this module returns.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from molweight.leaderboard.intervals import bootstrap_intervals
from molweight.leaderboard.predictions import known_predictions
from molweight.leaderboard.rows import Row, column, scored, unique
from molweight.leaderboard.single_objective_anova import single_objective_anova
from molweight.leaderboard.statistics import (
    Array,
    agreement,
    corrected_t_p,
    critical_difference,
    friedman_p,
    holm,
    ranks,
    smallest_wilcoxon_p,
    spread,
    standardised,
    wilcoxon_p,
)
from molweight.methods.registry import parse_method
from molweight.reporting.leaderboard_json import (
    Agreement,
    Comparison,
    Cost,
    DatasetEntry,
    DatasetWeights,
    FailedRun,
    LearnedWeights,
    MethodCost,
    MethodEntry,
    MethodRank,
    Provenance,
    PValues,
    Ranks,
    Summary,
)
from molweight.training.bootstrap import Predictions
from molweight.training.metrics import METRICS

SCHEMA = 1


def summarise(rows: Sequence[Row], out: Path, *, reference: str | None, resamples: int) -> Summary:
    """Everything that the page says.

    Args:
        rows: of all runs.
        out: folder that the column ``run`` is relative to.
        reference: method that the others are compared with; None compares none.
        resamples: of the test molecules.
    """
    good = scored(rows)
    predictions = known_predictions(good, out)
    methods = unique(row["method"] for row in good)
    return {
        "schema": SCHEMA,
        "reference": reference,
        "resamples": resamples,
        "datasets": [
            dataset_entry(dataset_rows, predictions, reference, resamples)
            for dataset_rows in grouped(good, "dataset").values()
        ],
        "ranks": rank_methods(good, methods),
        "comparison": compare_over_datasets(good, methods, reference),
        "methods": [
            MethodCost(method=name, **cost(method_rows))
            for name, method_rows in grouped(good, "method").items()
        ],
        "agreement": agreements(good),
        "corners": single_objective_anova(good),
        "learned": learned_weights(good, reference),
        "failed": [
            FailedRun(**{name: row[name] for name in FailedRun.__annotations__})  # type: ignore[typeddict-item]
            for row in rows
            if row["state"] != "ok"
        ],
        "without_score": [row["run"] for row in rows if row["state"] == "ok" and row["test"] is None],
        "provenance": provenance(rows),
    }


def grouped(rows: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """The rows by the value of a column, both in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups


def dataset_entry(
    rows: Sequence[Row], predictions: Mapping[str, Predictions], reference: str | None, resamples: int
) -> DatasetEntry:
    """Quality and cost of every method on one data set, best first."""
    first, metric = rows[0], METRICS[rows[0]["metric"]]
    methods = unique(row["method"] for row in rows)
    intervals = bootstrap_intervals(rows, methods, predictions, reference, resamples)
    varies = len({row["split_seed"] for row in rows}) > 1
    p = per_dataset_p(rows, methods, reference, varies=varies)
    entries = []
    for name, method_rows in grouped(rows, "method").items():
        entries.append(
            MethodEntry(
                method=name,
                seeds=[row["seed"] for row in method_rows],
                scores=column(method_rows, "test").tolist(),
                test=spread(column(method_rows, "test")),
                valid=spread(column(method_rows, "valid")),
                **intervals[name],
                **p[name],
                **cost(method_rows),
                best=False,
            )
        )
    entries.sort(key=lambda entry: entry["test"]["mean"], reverse=metric.higher_is_better)
    for entry in entries:
        entry["best"] = entry["test"]["mean"] == entries[0]["test"]["mean"]
    corpora = [name for name in unique(row["corpus"] for row in rows) if name not in (None, "none")]
    pairs = max(entry["pairs"] for entry in entries)
    return DatasetEntry(
        dataset=first["dataset"],
        metric=first["metric"],
        split=first["split"],
        protocol=first["protocol"],
        data_sha256=first["data_sha256"],
        n_train=first["n_train"],
        n_test=first["n_test"],
        corpus=", ".join(corpora) or None,
        split_hashes=unique(row["split_hash"] for row in rows),
        label=first["score"] or metric.label,
        higher_is_better=metric.higher_is_better,
        test="corrected_t" if varies else "wilcoxon",
        smallest_p=None if varies or not pairs else smallest_wilcoxon_p(pairs),
        methods=entries,
    )


def paired(rows: Sequence[Row], reference: str, other: str) -> tuple[Array, Array]:
    """Test scores of both methods on the seeds that both have, each [s]."""
    ours, theirs = (
        {row["seed"]: row["test"] for row in rows if row["method"] == name} for name in (reference, other)
    )
    seeds = [seed for seed in ours if seed in theirs]
    return np.array([ours[seed] for seed in seeds], float), np.array([theirs[seed] for seed in seeds], float)


def per_dataset_p(
    rows: Sequence[Row], methods: Sequence[str], reference: str | None, *, varies: bool
) -> dict[str, PValues]:
    """By method: p against the reference over the seeds of one data set, raw and Holm-corrected."""
    raw, pairs = np.full(len(methods), math.nan), [0] * len(methods)
    for i, name in enumerate(methods):
        if reference not in methods or name == reference:
            continue
        ours, theirs = paired(rows, str(reference), name)
        pairs[i] = len(ours)
        sized = [(row["n_train"], row["n_test"]) for row in rows if row["n_train"] and row["n_test"]]
        if not varies:
            raw[i] = wilcoxon_p(ours - theirs)
        elif sized:
            train, test = np.mean(sized, axis=0).tolist()
            raw[i] = corrected_t_p(ours - theirs, n_train=train, n_test=test)
    corrected = holm(raw)
    return {
        name: PValues(p=float(raw[i]), p_holm=float(corrected[i]), pairs=pairs[i])
        for i, name in enumerate(methods)
    }


def compare_over_datasets(
    rows: Sequence[Row], methods: Sequence[str], reference: str | None
) -> list[Comparison]:
    """The reference against every other method over all pairs of data set and seed with a fixed split."""
    if reference not in methods:
        return []
    entries = []
    for name in methods:
        if name == reference:
            continue
        gains, used = [np.empty(0)], []
        for dataset, dataset_rows in grouped(rows, "dataset").items():
            ours, theirs = paired(dataset_rows, str(reference), name)
            if len(ours) and len({row["split_seed"] for row in dataset_rows}) == 1:
                higher = METRICS[dataset_rows[0]["metric"]].higher_is_better
                gains.append(standardised(ours, theirs, higher_is_better=higher))
                used.append(dataset)
        gain = np.concatenate(gains)
        p, better = wilcoxon_p(gain), int((gain > 0).sum())
        entries.append(
            Comparison(method=name, datasets=used, pairs=len(gain), better=better, p=p, p_holm=math.nan)
        )
    for entry, corrected in zip(entries, holm(np.array([e["p"] for e in entries])), strict=True):
        entry["p_holm"] = float(corrected)
    return entries


def rank_methods(rows: Sequence[Row], methods: Sequence[str]) -> Ranks:
    """Average ranks over the data sets on which every method has a score, or why there are none."""
    means: dict[str, list[float]] = {}
    higher = []
    datasets = grouped(rows, "dataset")
    for dataset, dataset_rows in datasets.items():
        by_method = grouped(dataset_rows, "method")
        scores = [column(by_method.get(name, []), "test") for name in methods]
        if all(len(values) for values in scores):
            means[dataset] = [float(values.mean()) for values in scores]
            higher.append(METRICS[dataset_rows[0]["metric"]].higher_is_better)
    ranking = Ranks(
        datasets=list(means),
        of=len(datasets),
        methods=[],
        friedman_p=None,
        friedman_exact=None,
        critical_difference=None,
        skipped=None,
    )
    if len(methods) < 2 or len(means) < 2:
        ranking["skipped"] = (
            "Average ranks need at least two methods, and two data sets on which all have a "
            f"score; here {len(methods)} and {len(means)}."
        )
        return ranking
    ranked = ranks(np.array(list(means.values())), np.array(higher))
    average = ranked.mean(axis=0)
    entries = [MethodRank(method=name, rank=float(rank)) for name, rank in zip(methods, average, strict=True)]
    ranking["methods"] = sorted(entries, key=lambda entry: entry["rank"])
    ranking["friedman_p"], ranking["friedman_exact"] = friedman_p(ranked)
    ranking["critical_difference"] = critical_difference(len(methods), len(means))
    return ranking


def agreements(rows: Sequence[Row]) -> list[Agreement]:
    """How alike the weights of different seeds are, for methods that learn two or more."""
    entries = []
    for dataset, method in unique((row["dataset"], row["method"]) for row in rows):
        learned = [weights_of(row) for row in rows if (row["dataset"], row["method"]) == (dataset, method)]
        names = list(learned[0])
        if len(names) < 2 or any(set(weights) != set(names) for weights in learned):
            continue
        values = np.array([[weights[name] for name in names] for weights in learned])
        given = len(learned) > 1 and float(np.ptp(values, axis=0).max()) == 0  # as by method=fixed:
        cosine = agreement(values)
        if math.isfinite(cosine) and not given:
            mean = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
            entries.append(
                Agreement(dataset=dataset, method=method, n=len(learned), cosine=cosine, weights=mean)
            )
    return entries


def weights_of(row: Row) -> dict[str, float]:
    """What a run learned, by objective."""
    return dict(json.loads(row["weights"] or "{}"))


def learned_weights(rows: Sequence[Row], reference: str | None) -> LearnedWeights | None:
    """Every run's weights under one method: the reference, or the first, that learns two or more.

    Data sets whose runs have other objectives than the first one are left out. None where no method learns.
    """
    names = unique(row["method"] for row in rows)
    learners = [name for name in names if parse_method(name.partition(" ")[0]).learns]  # options may follow
    method = reference if reference in learners else next(iter(learners), None)
    method_rows = [row for row in rows if row["method"] == method]
    names = list(weights_of(method_rows[0])) if method_rows else []
    if method is None or len(names) < 2:
        return None
    datasets = []
    for dataset, dataset_rows in grouped(method_rows, "dataset").items():
        weights = [weights_of(row) for row in dataset_rows]
        if all(set(each) == set(names) for each in weights):
            seeds = [row["seed"] for row in dataset_rows]
            datasets.append(DatasetWeights(dataset=dataset, seeds=seeds, weights=weights))
    return LearnedWeights(method=method, objectives=names, datasets=datasets) if datasets else None


def cost(rows: Sequence[Row]) -> Cost:
    """Means over runs of what a method costs; NaN where none reports it."""
    return Cost(
        seconds=spread(column(rows, "seconds"))["mean"],
        images=spread(column(rows, "images"))["mean"],
        parameters=spread(column(rows, "parameters"))["mean"],
    )


def provenance(rows: Sequence[Row]) -> Provenance:
    """Versions that took part, and the commands that make the rows again."""
    commands = [row["command"] for row in rows if row["options"] is None]  # no leaderboard has planned it
    for options in unique(row["options"] for row in rows if row["options"] is not None):
        alike = [row for row in rows if row["options"] == options]
        data = "tasks" if "molweight.nlp.run" in (alike[0]["command"] or "") else "datasets"
        lists = [
            f"{name}={','.join(str(value) for value in unique(row[key] for row in alike))}"
            for name, key in ((data, "dataset"), ("methods", "method"), ("seeds", "seed"))
        ]
        commands.append(
            shlex.join(["python", "-m", "molweight", "leaderboard", *lists, *json.loads(options)])
        )
    versions = unique(row["versions"] for row in rows if row["versions"])
    return Provenance(versions=[json.loads(text) for text in versions], commands=commands)
