"""The pictures of a run's page: the weights, the losses, and predictions against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit

from molweight.inference.predictions_file import logit_columns
from molweight.reporting import figures
from molweight.reporting.embedded import Picture, picture
from molweight.reporting.markdown import label_of
from molweight.reporting.run_files import RunFiles
from molweight.training.calibration import calibration_error, scaled
from molweight.utils.output_columns import TRUE

MOST_PLOTS = 12  # scatter plots; a page with hundreds helps nobody
WIDE, SQUARE = (5.0, 3.2), (4.4, 4.2)  # inches
Array = np.ndarray[Any, np.dtype[np.float64]]


def training_pictures(run: RunFiles) -> list[Picture]:
    """The weights, the losses and finetuning."""
    records, tuned = run.records, run.report["finetune"]
    found = []
    if records and moved(records):
        found.append(
            picture(
                "The weights over the run",
                "A line for the weight of each objective over the outer steps",
                partial(figures.plot_weights, records),
                WIDE,
            )
        )
    if records and records[0].get("losses"):
        found.append(
            picture(
                "The objectives' losses",
                "A line for the loss of each objective over the outer steps, as a share of its first value",
                partial(figures.plot_losses, records),
                WIDE,
            )
        )
    if tuned and tuned["history"]:
        best, label = tuned["best_epoch"], label_of(run.report)
        kept = f"The dashed line is the epoch that was kept, {best} of {tuned['epochs']}."
        losses, scores = {"train_loss": "train", "valid_loss": "validation"}, {"valid": label}
        for title, lines, y in (
            ("Finetuning: losses", losses, "loss"),
            (f"Finetuning: validation {label}", scores, label),
        ):
            draw = partial(figures.plot_epochs, tuned["history"], lines, y, best)
            found.append(picture(title, f"{title}, over the epochs", draw, WIDE, caption=kept))
    return found


def moved(records: Sequence[dict[str, Any]]) -> bool:
    """Whether the weights were not the same all the time."""
    return any(record["weights"] != records[0]["weights"] for record in records)


def prediction_pictures(run: RunFiles) -> list[Picture]:
    """Test predictions against the truth."""
    pairs = {name: (run.column(f"{name}{TRUE}"), run.ranked(name)) for name in run.targets}
    if run.report["task_type"] == "regression":
        return [
            picture(
                name if len(pairs) > 1 else "Predicted and true",
                f"Predicted against true {name} of the test part",
                partial(figures.plot_parity, *pair),
                SQUARE,
            )
            for name, pair in list(pairs.items())[:MOST_PLOTS]
        ]
    if run.labels:
        draw = partial(figures.plot_confusion, confusion(*next(iter(pairs.values())), run.labels), run.labels)
        alt = "How often each label was predicted for each true one"
        return [picture("Predicted and true labels", alt, draw, SQUARE)]
    found = [
        picture("ROC", "ROC curves of the test part", partial(figures.plot_roc, pairs), SQUARE),
        picture(
            "Precision and recall",
            "Precision-recall curves of the test part",
            partial(figures.plot_precision_recall, pairs),
            SQUARE,
        ),
    ]
    y_true, kinds = pooled(run)
    if len(y_true):
        together = "All targets together. " if len(pairs) > 1 else ""
        errors = ", ".join(f"{calibration_error(y_true, p):.3f} {name}" for name, p in kinds.items())
        found.append(
            picture(
                "Calibration",
                "Share of positives against mean probability, in ten bins",
                partial(figures.plot_reliability, y_true, kinds),
                SQUARE,
                caption=f"{together}Expected calibration error: {errors}.",
            )
        )
    return found


def confusion(y_true: Array, predicted: Array, labels: Sequence[str]) -> Array:
    """How often each label [c] was predicted for each true one, [c, c]."""
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, (y_true.astype(int), predicted.astype(int)), 1)
    return counts


def pooled(run: RunFiles) -> tuple[Array, dict[str, Array]]:
    """Known labels of all targets [n], and their probabilities [n] as the network says them, and scaled."""
    columns = [(run.column(f"{name}{TRUE}"), run.column(name), run.ranked(name)) for name in run.targets]
    known = [
        (y_true[~np.isnan(y_true)], *(one[~np.isnan(y_true)] for one in rest)) for y_true, *rest in columns
    ]
    kinds = {"as the network says": [guess for _, guess, _ in known]}
    if "temperature" in run.card:
        temperatures, logits = run.card["temperature"], bool(logit_columns(run.predictions))
        kinds["temperature-scaled"] = [
            expit(ranked / one) if logits else scaled(guess, one)
            for (_, guess, ranked), one in zip(known, temperatures, strict=True)
        ]
    truths = np.concatenate([y_true for y_true, _, _ in known])
    return truths, {name: np.concatenate(values) for name, values in kinds.items()}
