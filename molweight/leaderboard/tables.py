"""``leaderboard.md``: the summary as a page for people."""

from __future__ import annotations

import math
from typing import Any

from molweight.leaderboard.single_objective_anova import anova_section
from molweight.leaderboard.statistics import LEVEL
from molweight.reporting.markdown import number, table
from molweight.training.bootstrap import COVERAGE

Summary = dict[str, Any]
DASH = "–"


def markdown(summary: Summary) -> str:
    """The page, from :func:`molweight.leaderboard.summary.summarise`."""
    lines = ["# Leaderboard", "", *introduction(summary), "", *overview(summary)]
    for dataset in summary["datasets"]:
        lines += ["", *dataset_section(dataset, summary["reference"])]
    lines += ["", *over_datasets(summary), "", *anova_section(summary["corners"])]
    for section in (weights_section, failed_section, provenance_section):
        lines += ["", *section(summary)]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"


def introduction(summary: Summary) -> list[str]:
    """How to read the tables."""
    reference = summary["reference"]
    compared = (
        f" *vs {reference}* is the difference to {reference}, in the same resamples."
        if reference
        else " No method is compared with the others: `reference=` names one."
    )
    return [
        "*test* and *validation* are means ± standard deviations (ddof=1) over seeds. *CI* is the "
        f"{100 * COVERAGE:.0f} % bootstrap interval of that mean over {summary['resamples']:,} resamples of "
        f"the test samples, with the trained models as they are.{compared} Seconds and pretraining samples "
        "are means of one run. The best mean is bold, however close the others come."
    ]


def overview(summary: Summary) -> list[str]:
    """Every method on every data set, best average rank first."""
    datasets = summary["datasets"]
    if len(datasets) < 2:
        return []
    scores = {(d["dataset"], e["method"]): e for d in datasets for e in d["methods"]}
    head = ["method"]
    head += [
        f"{d['dataset']} {d['label']}\N{NO-BREAK SPACE}{'↑' if d['higher_is_better'] else '↓'}"
        for d in datasets
    ]
    rows = []
    for one in by_rank(summary):
        found = [scores.get((d["dataset"], one["method"])) for d in datasets]
        rows.append((one["method"], *(DASH if entry is None else emphasised(entry) for entry in found)))
    uneven = [d["dataset"] for d in datasets if len({tuple(sorted(e["seeds"])) for e in d["methods"]}) > 1]
    warning = (
        f"**Not all methods have the same seeds on {', '.join(uneven)}**: there, means and ranks compare "
        "unlike runs. The same command with all seeds completes them."
    )
    return ["## Overview", "", *table(tuple(head), rows), *(["", warning] if uneven else [])]


def by_rank(summary: Summary) -> list[Summary]:
    """Methods by their average rank, as far as they have one."""
    rank = {one["method"]: one["rank"] for one in summary["ranks"]["methods"]}
    return sorted(summary["methods"], key=lambda one: rank.get(one["method"], math.inf))


def emphasised(entry: Summary) -> str:
    """A test score, bold where it is the best of its data set."""
    test = plus_minus(entry["test"])
    return f"**{test}**" if entry["best"] else test


def dataset_section(dataset: Summary, reference: str | None) -> list[str]:
    """The table of one data set, and what its p values are."""
    direction = "higher" if dataset["higher_is_better"] else "lower"
    compared = reference in [entry["method"] for entry in dataset["methods"]]
    compared = compared and len(dataset["methods"]) > 1
    head = ["method", "seeds", "test", "CI"]
    head += [f"vs {reference}", "CI", "p"] if compared else []
    rows = [dataset_row(entry, compared=compared) for entry in dataset["methods"]]
    return [
        f"## {dataset['dataset']}: {dataset['label']}, {direction} is better",
        "",
        *table((*head, "validation", "seconds", "samples"), rows),
        "",
        test_sentence(dataset) if compared else "",
        "",
        interval_sentence(dataset),
    ]


def dataset_row(entry: Summary, *, compared: bool) -> tuple[str, ...]:
    """The cells of one method."""
    name = f"**{entry['method']}**" if entry["best"] else entry["method"]
    cells = [name, str(entry["test"]["n"]), emphasised(entry), bracket(entry["interval"])]
    if compared:
        cells += [
            signed(entry["difference"]),
            bracket(entry["difference_interval"]),
            p_value(entry["p_holm"]),
        ]
    return (*cells, plus_minus(entry["valid"]), amount(entry["seconds"]), amount(entry["images"]))


def test_sentence(dataset: Summary) -> str:
    """Which test the p values of a data set come from, why, and how low they could go."""
    count = len(dataset["methods"]) - 1
    corrected = f", Holm-corrected for {count} methods" if count > 1 else ""
    if dataset["test"] == "corrected_t":
        return (
            f"p: corrected resampled t test of Nadeau and Bengio over seeds{corrected}; every seed has its "
            "own split, whose training parts overlap. "
            "Fewer than two differences, or none that differ from each other, have no p."
        )
    lowest, limit = dataset["smallest_p"], ""
    if lowest is not None and lowest > LEVEL:
        seeds = counted(1 - round(math.log2(lowest)), "seed")
        limit = f" With {seeds} it cannot go below {lowest:g}{', even uncorrected' if count > 1 else ''}."
    return (
        f"p: Wilcoxon signed-rank test over seeds{corrected}; the split is the same for all seeds, so they "
        f"differ in training noise only.{limit}"
    )


def interval_sentence(dataset: Summary) -> str:
    """Where the intervals are of fewer seeds than the means."""
    lost = [e for e in dataset["methods"] if len(e["interval_seeds"]) < len(e["seeds"])]
    if not lost:
        return ""
    groups: dict[str, list[str]] = {}
    for entry in lost:
        seeds = ", ".join(str(seed) for seed in entry["interval_seeds"]) or "none"
        groups.setdefault(seeds, []).append(entry["method"])
    if len(lost) == len(dataset["methods"]):  # a long list of names says less than who is left
        most = max(groups, key=lambda seeds: len(groups[seeds]))
        groups[most] = ["all others" if len(groups) > 1 else "every method"]
        groups = {seeds: groups[seeds] for seeds in sorted(groups, key=lambda seeds: seeds == most)}
    listed = "; ".join(f"{', '.join(names)}: {seeds}" for seeds, names in groups.items())
    return (
        "**CI is of fewer seeds than the mean**, those whose predictions are still here, so that the mean "
        f"need not lie in its middle. {listed}."
    )


def over_datasets(summary: Summary) -> list[str]:
    """Average ranks, the test over all pairs, and cost, by method."""
    ranks, comparison = summary["ranks"], {one["method"]: one for one in summary["comparison"]}
    rank = {one["method"]: one["rank"] for one in ranks["methods"]}
    reference = summary["reference"]
    head = ["method", *(["average rank"] if rank else [])]
    head += [f"{reference} is better in", "p"] if comparison else []
    rows = []
    for one in by_rank(summary):
        found = comparison.get(one["method"])
        cells = [one["method"], *([f"{rank[one['method']]:.2f}"] if rank else [])]
        if comparison:
            cells += (
                [f"{found['better']} of {found['pairs']} pairs", p_value(found["p_holm"])]
                if found
                else [DASH] * 2
            )
        rows.append((*cells, *(amount(one[name]) for name in ("seconds", "images", "parameters"))))
    lines = ["## Over all data sets", ""]
    if rows:
        lines += [*table((*head, "seconds", "samples", "parameters"), rows), ""]
    if comparison:
        lines += [comparison_sentence(summary), ""]
    return [*lines, *rank_lines(ranks)]


def comparison_sentence(summary: Summary) -> str:
    """What the test over all pairs assumes."""
    count, used = len(summary["comparison"]), len(summary["comparison"][0]["datasets"])
    corrected = f", Holm-corrected for {count} methods" if count > 1 else ""
    return (
        f"p: Wilcoxon signed-rank test over pairs of data set and seed{corrected}. Differences are divided "
        "by the standard deviation of both methods on the data set; "
        f"{counted(used, 'data set')} with one split for all seeds took part. Pairs of one data set share "
        "their samples: the test speaks about these data sets and new seeds, not about new data sets."
    )


def rank_lines(ranks: Summary) -> list[str]:
    """The critical difference and its picture, or why there is none."""
    if ranks["skipped"]:
        return [ranks["skipped"]]
    names, p = ", ".join(ranks["datasets"]), ranks["friedman_p"]
    friedman = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    exact = ranks["friedman_exact"]
    kind = "exact over all permutations of the ranks" if exact else "as corrected by Iman and Davenport"
    meaning = "they differ" if p < LEVEL else "no difference is shown, whatever the bars below say"
    return [
        f"Ranks are averaged over the {len(ranks['datasets'])} of {ranks['of']} data sets on which every "
        f"method has a score ({names}). Are all methods alike? Friedman's test, "
        f"{kind}: {friedman}, so {meaning}. Nemenyi's critical difference is "
        f"{ranks['critical_difference']:.2f} (α = {LEVEL:g}): methods that a bar joins do not differ by "
        "more.",
        "",
        "![Average ranks with Nemenyi's critical difference](ranks.png)",
    ]


def weights_section(summary: Summary) -> list[str]:
    """Whether seeds agree on the weights."""
    if not summary["agreement"]:
        return learned_picture(summary)
    rows = [
        (one["dataset"], one["method"], str(one["n"]), f"{one['cosine']:+.2f}", top(one["weights"]))
        for one in summary["agreement"]
    ]
    return [
        "## Do seeds agree on the weights?",
        "",
        *table(("data set", "method", "seeds", "cosine", "largest mean weights"), rows),
        "",
        "Mean cosine between the weights of two seeds, less the uniform weight: 1 where all seeds prefer the "
        "same objectives, about 0 where the weights are noise.",
        "",
        *learned_picture(summary),
    ]


def learned_picture(summary: Summary) -> list[str]:
    """The picture of every run's weights, where there is one."""
    if summary["learned"] is None:
        return []
    return [f"![Weights that {summary['learned']['method']} learned](weights.png)"]


def top(weights: dict[str, float], count: int = 3) -> str:
    """The largest weights."""
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {weight:.3f}" for name, weight in ordered[:count])


def failed_section(summary: Summary) -> list[str]:
    """Runs without a result and why."""
    lines = []
    if summary["failed"]:
        rows = [(one["dataset"], one["method"], str(one["seed"]), one["error"]) for one in summary["failed"]]
        lines = ["## Failed runs", "", *table(("data set", "method", "seed", "reason"), rows), ""]
        lines += ["The same command runs these again."]
    if summary["without_score"]:
        runs = ", ".join(summary["without_score"])
        lines += ["", f"The test metric is not defined, and not counted, in: {runs}."]
    return lines


def provenance_section(summary: Summary) -> list[str]:
    """Data, splits, versions and commands."""
    rows = [
        (
            one["dataset"],
            f"{one['split']} {', '.join(str(value)[:12] for value in one['split_hashes'])}",
            one["protocol"] or DASH,
            f"{one['n_train'] or DASH} / {one['n_test'] or DASH}",
            one["corpus"] or DASH,
            (one["data_sha256"] or DASH)[:12],
        )
        for one in summary["datasets"]
    ]
    found, lines = summary["provenance"], ["## Provenance", ""]
    if rows:
        lines += table(("data set", "split, hash", "protocol", "train / test", "corpus", "SHA-256"), rows)
    for versions in found["versions"]:
        lines += ["", "Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()) + "."]
    if len(found["versions"]) > 1:
        lines += ["", "**The runs were made with different versions.**"]
    if len(found["commands"]) > 1:
        lines += ["", "**The runs were made with different options**, one command each:"]
    return [*lines, "", "```", *found["commands"], "```"]


def counted(count: int, what: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def plus_minus(values: Summary) -> str:
    """``0.812 ± 0.004``; the mean alone where one seed has no spread."""
    mean = number(values["mean"])
    return mean if math.isnan(values["sd"]) else f"{mean} ± {number(values['sd'])}"


def bracket(ends: tuple[float, float] | None) -> str:
    """``[0.79, 0.83]`` with three digits each."""
    return DASH if ends is None or math.isnan(ends[0]) else f"[{number(ends[0])}, {number(ends[1])}]"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return DASH if value is None or math.isnan(value) else f"{value:+.3f}"


def p_value(value: float) -> str:
    """Two digits; small ones as a bound."""
    if math.isnan(value):
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def amount(value: float) -> str:
    """A large number without decimals."""
    return DASH if math.isnan(value) else f"{value:,.0f}"
