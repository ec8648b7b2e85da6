"""Which pictures a run's page shows: the weights, the losses, and predictions against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from molweight.inference.predictions_file import logit_columns
from molweight.reporting import plots
from molweight.reporting.plots import Draw, Picture, figure_of
from molweight.reporting.run_files import RunFiles
from molweight.training.calibration import calibration_error, scaled
from molweight.utils.output_columns import TRUE

MOST_PLOTS = 12  # scatter plots; a page with hundreds helps nobody
Array = NDArray[np.float64]


def wide(draw: Draw, title: str, alt: str, caption: str = "") -> Picture:
    """A picture of something over time."""
    return plots.picture(figure_of(draw, (5.0, 3.2)), alt, title, caption)


def square(draw: Draw, title: str, alt: str, caption: str = "") -> Picture:
    """A picture whose axes are alike."""
    return plots.picture(figure_of(draw, (4.4, 4.2)), alt, title, caption)


def training_pictures(run: RunFiles) -> list[Picture]:
    """The weights, the losses and finetuning."""
    records, tuned, label = run.records, run.report.finetune, run.report.label
    pictures = []
    if any(record["weights"] != records[0]["weights"] for record in records):
        alt = "A line for the weight of each objective over the outer steps"
        pictures.append(wide(partial(plots.plot_weights, records), "The weights over the run", alt))
    if records and records[0].get("losses"):
        alt = "A line for the loss of each objective over the outer steps, as a share of its first value"
        pictures.append(wide(partial(plots.plot_losses, records), "The objectives' losses", alt))
    if tuned is None or not tuned.history:
        return pictures
    history, best = [asdict(epoch) for epoch in tuned.history], tuned.best_epoch
    caption = f"The dashed line is the epoch that was kept, {best} of {tuned.epochs}."
    losses, scores = {"train_loss": "train", "valid_loss": "validation"}, {"valid": label}
    for title, lines, y in (
        ("Finetuning: losses", losses, "loss"),
        (f"Finetuning: validation {label}", scores, label),
    ):
        draw = partial(plots.plot_epochs, history, lines, y, best)
        pictures.append(wide(draw, title, f"{title}, over the epochs", caption))
    return pictures


def prediction_pictures(run: RunFiles) -> list[Picture]:
    """Test predictions against the truth."""
    pairs = {name: (run.column(f"{name}{TRUE}"), run.ranked(name)) for name in run.targets}
    if run.report.task_type == "regression":
        titles = {name: name if len(pairs) > 1 else "Predicted and true" for name in list(pairs)[:MOST_PLOTS]}
        return [
            square(
                partial(plots.plot_parity, *pairs[name]),
                title,
                f"Predicted against true {name} of the test part",
            )
            for name, title in titles.items()
        ]
    if run.labels:
        counts = confusion(*next(iter(pairs.values())), run.labels)
        alt = "How often each label was predicted for each true one"
        return [square(partial(plots.plot_confusion, counts, run.labels), "Predicted and true labels", alt)]
    alt = "Precision-recall curves of the test part"
    pictures = [
        square(partial(plots.plot_roc, pairs), "ROC", "ROC curves of the test part"),
        square(partial(plots.plot_precision_recall, pairs), "Precision and recall", alt),
    ]
    y_true, kinds = pooled(run)
    if len(y_true):
        errors = ", ".join(f"{calibration_error(y_true, p):.3f} {name}" for name, p in kinds.items())
        pictures.append(
            square(
                partial(plots.plot_reliability, y_true, kinds),
                "Calibration",
                "Share of positives against mean probability, in ten bins",
                f"{'All targets together. ' if len(pairs) > 1 else ''}Expected calibration error: {errors}.",
            )
        )
    return pictures


def confusion(y_true: Array, predicted: Array, labels: Sequence[str]) -> Array:
    """How often each label [c] was predicted for each true one, [c, c]."""
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (y_true.astype(int), predicted.astype(int)), 1)
    return counts


def pooled(run: RunFiles) -> tuple[Array, dict[str, Array]]:
    """Known labels of all targets [n], and their probabilities [n] as the network says them, and scaled."""
    labels, plain, tempered = [], [], []
    temperatures = [1.0] * len(run.targets) if run.temperatures is None else run.temperatures
    if not all(temperature > 0 for temperature in temperatures):
        raise ValueError("temperatures must be positive")
    for name, temperature in zip(run.targets, temperatures, strict=True):
        y_true, probability, ranked = run.column(f"{name}{TRUE}"), run.column(name), run.ranked(name)
        known = ~np.isnan(y_true)
        labels.append(y_true[known])
        plain.append(probability[known])
        if logit_columns(run.predictions):
            tempered.append(expit(ranked[known] / temperature))
        else:
            tempered.append(scaled(probability[known], temperature))
    kinds = {"as the network says": np.concatenate(plain)}
    if run.temperatures is not None:
        kinds["temperature-scaled"] = np.concatenate(tempered)
    return np.concatenate(labels), kinds
