"""``leaderboard.json``: the numbers behind every table, from the rows and what the runs predicted.

``tables`` and ``pictures`` read nothing but what this module returns.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from molweight.training.bootstrap import Predictions
from molweight.training.metrics import METRICS

SCHEMA = 1
Summary = dict[str, Any]


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
            one_dataset([row for row in good if row["dataset"] == name], predictions, reference, resamples)
            for name in unique(row["dataset"] for row in good)
        ],
        "ranks": rank_methods(good, methods),
        "comparison": compare_over_datasets(good, methods, reference),
        "methods": [{"method": name, **cost([r for r in good if r["method"] == name])} for name in methods],
        "agreement": agreements(good),
        "corners": single_objective_anova(good),
        "learned": learned_weights(good, reference),
        "failed": [
            {name: row[name] for name in ("dataset", "method", "seed", "error", "run")}
            for row in rows
            if row["state"] != "ok"
        ],
        "without_score": [row["run"] for row in rows if row["state"] == "ok" and row["test"] is None],
        "provenance": provenance(rows),
    }


def one_dataset(
    rows: Sequence[Row], predictions: Mapping[str, Predictions], reference: str | None, resamples: int
) -> Summary:
    """Quality and cost of every method on one data set, best first."""
    first, metric = rows[0], METRICS[rows[0]["metric"]]
    methods = unique(row["method"] for row in rows)
    intervals = bootstrap_intervals(rows, methods, predictions, reference, resamples)
    varies = len({row["split_seed"] for row in rows}) > 1
    p = per_dataset_p(rows, methods, reference, varies=varies)
    entries = []
    for name in methods:
        own = [row for row in rows if row["method"] == name]
        entries.append(
            {
                "method": name,
                "seeds": [row["seed"] for row in own],
                "scores": column(own, "test").tolist(),
                "test": asdict(spread(column(own, "test"))),
                "valid": asdict(spread(column(own, "valid"))),
                **intervals[name],
                **p[name],
                **cost(own),
            }
        )
    best = (max if metric.higher_is_better else min)(entry["test"]["mean"] for entry in entries)
    for entry in entries:
        entry["best"] = entry["test"]["mean"] == best
    entries.sort(key=lambda entry: entry["test"]["mean"], reverse=metric.higher_is_better)
    shared = ("dataset", "metric", "split", "protocol", "data_sha256", "n_train", "n_test")
    corpora = [name for name in unique(row["corpus"] for row in rows) if name not in (None, "none")]
    pairs = [entry["pairs"] for entry in entries if entry["pairs"]]
    return {
        **{name: first[name] for name in shared},
        "corpus": ", ".join(corpora) or None,
        "split_hashes": unique(row["split_hash"] for row in rows),
        "label": first["score"] or metric.label,
        "higher_is_better": metric.higher_is_better,
        "test": "corrected_t" if varies else "wilcoxon",
        "smallest_p": None if varies or not pairs else smallest_wilcoxon_p(max(pairs)),
        "methods": entries,
    }


def paired(rows: Sequence[Row], reference: str, other: str) -> tuple[Array, Array]:
    """Test scores of both methods on the seeds that both have, each [s]."""
    scores = [{r["seed"]: r["test"] for r in rows if r["method"] == name} for name in (reference, other)]
    seeds = [seed for seed in scores[0] if seed in scores[1]]
    return tuple(np.array([one[seed] for seed in seeds], dtype=np.float64) for one in scores)  # type: ignore[return-value]


def per_dataset_p(
    rows: Sequence[Row], methods: Sequence[str], reference: str | None, *, varies: bool
) -> dict[str, Summary]:
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
        name: {"p": float(raw[i]), "p_holm": float(corrected[i]), "pairs": pairs[i]}
        for i, name in enumerate(methods)
    }


def compare_over_datasets(
    rows: Sequence[Row], methods: Sequence[str], reference: str | None
) -> list[Summary]:
    """The reference against every other method over all pairs of data set and seed with a fixed split."""
    if reference not in methods:
        return []
    entries: list[Summary] = []
    for name in methods:
        if name == reference:
            continue
        gains, used = [], []
        for dataset in unique(row["dataset"] for row in rows):
            own = [row for row in rows if row["dataset"] == dataset]
            ours, theirs = paired(own, str(reference), name)
            if len(ours) and len({row["split_seed"] for row in own}) == 1:
                higher = METRICS[own[0]["metric"]].higher_is_better
                gains.append(standardised(ours, theirs, higher_is_better=higher))
                used.append(dataset)
        every = np.concatenate([np.empty(0), *gains])
        entries.append(
            {
                "method": name,
                "datasets": used,
                "pairs": len(every),
                "better": int((every > 0).sum()),
                "p": wilcoxon_p(every),
            }
        )
    for entry, p in zip(entries, holm(np.array([e["p"] for e in entries])), strict=True):
        entry["p_holm"] = float(p)
    return entries


def rank_methods(rows: Sequence[Row], methods: Sequence[str]) -> Summary:
    """Average ranks over the data sets on which every method has a score, or why there are none."""
    means: dict[str, list[float]] = {}
    higher = []
    datasets = unique(row["dataset"] for row in rows)
    for dataset in datasets:
        own = [row for row in rows if row["dataset"] == dataset]
        each = [column([r for r in own if r["method"] == name], "test") for name in methods]
        if all(len(values) for values in each):
            means[dataset] = [float(values.mean()) for values in each]
            higher.append(METRICS[own[0]["metric"]].higher_is_better)
    base = {
        "datasets": list(means),
        "of": len(datasets),
        "methods": [],
        "friedman_p": None,
        "friedman_exact": None,
        "critical_difference": None,
    }
    if len(methods) < 2 or len(means) < 2:
        return {
            **base,
            "skipped": "Average ranks need at least two methods, and two data sets on which all have a "
            f"score; here {len(methods)} and {len(means)}.",
        }
    ranked = ranks(np.array(list(means.values())), np.array(higher))
    average = ranked.mean(axis=0)
    listed = [{"method": name, "rank": float(rank)} for name, rank in zip(methods, average, strict=True)]
    p, exact = friedman_p(ranked)
    return {
        **base,
        "methods": sorted(listed, key=lambda one: one["rank"]),
        "friedman_p": p,
        "friedman_exact": exact,
        "critical_difference": critical_difference(len(methods), len(means)),
        "skipped": None,
    }


def agreements(rows: Sequence[Row]) -> list[Summary]:
    """How alike the weights of different seeds are, for methods that learn two or more."""
    entries = []
    for dataset, method in unique((row["dataset"], row["method"]) for row in rows):
        own = [row for row in rows if (row["dataset"], row["method"]) == (dataset, method)]
        learned = [json.loads(row["weights"] or "{}") for row in own]
        names = list(learned[0])
        if len(names) < 2 or any(set(one) != set(names) for one in learned):
            continue
        values = np.array([[one[name] for name in names] for one in learned])
        given = len(own) > 1 and float(np.ptp(values, axis=0).max()) == 0  # as by method=fixed:
        cosine = agreement(values)
        if math.isfinite(cosine) and not given:
            mean = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
            entries.append(
                {"dataset": dataset, "method": method, "n": len(own), "cosine": cosine, "weights": mean}
            )
    return entries


def learned_weights(rows: Sequence[Row], reference: str | None) -> Summary | None:
    """Every run's weights under one method: the reference, or the first, that learns two or more.

    Data sets whose runs have other objectives than the first one are left out. None where no method learns.
    """
    names = unique(row["method"] for row in rows)
    learners = [name for name in names if parse_method(name.partition(" ")[0]).learns]  # options may follow
    method = reference if reference in learners else next(iter(learners), None)
    own = [row for row in rows if row["method"] == method]
    found = {(row["dataset"], row["seed"]): json.loads(row["weights"] or "{}") for row in own}
    names = list(next(iter(found.values()), {}))
    if len(names) < 2:
        return None
    datasets = [
        {
            "dataset": name,
            "seeds": [seed for dataset, seed in found if dataset == name],
            "weights": [weights for (dataset, _), weights in found.items() if dataset == name],
        }
        for name in unique(dataset for dataset, _ in found)
    ]
    alike = [one for one in datasets if all(set(weights) == set(names) for weights in one["weights"])]
    return {"method": method, "objectives": names, "datasets": alike}


def cost(rows: Sequence[Row]) -> Summary:
    """Means over runs of what a method costs; NaN where none reports it."""
    return {
        "seconds": spread(column(rows, "seconds")).mean,
        "images": spread(column(rows, "images")).mean,
        "parameters": spread(column(rows, "parameters")).mean,
    }


def provenance(rows: Sequence[Row]) -> Summary:
    """Versions that took part, and the commands that make the rows again."""
    commands = [row["command"] for row in rows if row["options"] is None]  # no leaderboard has planned it
    for options in unique(row["options"] for row in rows if row["options"] is not None):
        own = [row for row in rows if row["options"] == options]
        data = "tasks" if "molweight.nlp.run" in (own[0]["command"] or "") else "datasets"
        lists = [
            f"{name}={','.join(str(value) for value in unique(row[what] for row in own))}"
            for name, what in ((data, "dataset"), ("methods", "method"), ("seeds", "seed"))
        ]
        commands.append(
            shlex.join(["python", "-m", "molweight", "leaderboard", *lists, *json.loads(options)])
        )
    versions = unique(row["versions"] for row in rows if row["versions"])
    return {"versions": [json.loads(text) for text in versions], "commands": commands}
