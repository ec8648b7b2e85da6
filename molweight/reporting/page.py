"""``report.html``: a run on one page that needs nothing else, made from the files of its folder alone.

A run's folder may come from a stranger: whatever it says is escaped by jinja2, and pictures are embedded as
images, in which nothing runs.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from molweight.errors import DataError, MolweightError
from molweight.inference.predictions_file import too_coarse
from molweight.reporting.coverage import CONFIDENCE, coverage, coverage_line
from molweight.reporting.examples import examples, explaining, plain_drawing
from molweight.reporting.markdown import (
    NORMALISING,
    SAMPLES,
    backbone_line,
    data_line,
    label_of,
    meaning,
    method_line,
    number,
    read_as,
)
from molweight.reporting.run_files import RunFiles, read_run
from molweight.reporting.run_pictures import prediction_pictures, training_pictures
from molweight.training.bootstrap import bootstrap, interval
from molweight.training.metrics import METRICS
from molweight.utils.files import write_text
from molweight.utils.pages import render_page

RESAMPLES = 1_000
MOST_EXCLUDED = 20  # rows that are listed

logger = logging.getLogger(__name__)


def save_page(run_dir: str | Path) -> Path:
    """Write ``report.html`` into a finished run's folder.

    Returns:
        Its path.

    Raises:
        DataError: the folder holds no finished run, or a file of it is damaged.
    """
    folder = Path(run_dir)
    path = folder / "report.html"
    write_text(path, render(folder))
    return path


def try_page(run_dir: str | Path) -> None:
    """The same for a run that has just ended; one without a page is whole, too, and a warning says why."""
    try:
        save_page(run_dir)
    except MolweightError as error:
        logger.warning("no report.html: %s", error)


def render(folder: Path) -> str:
    """The page."""
    from jinja2 import TemplateError

    run = read_run(folder)
    try:
        return render_page("molweight.reporting", "report.html", **contents(run, folder))
    except (
        *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
        TemplateError,
    ) as error:  # whatever a stranger may have written into the files
        raise DataError(
            f"{folder} does not hold the report of this version ({type(error).__name__}: {error}); run again "
            "into another run_dir="
        ) from error


def contents(run: RunFiles, folder: Path) -> dict[str, Any]:
    """What the template shows."""
    report = run.report
    metric = METRICS[report["metric"]]
    tested = bool(report["split"]["sizes"]["test"])
    ranked = sorted(report["weights"].items(), key=lambda item: -item[1])
    molecules = report["modality"] == "molecules"
    explained = explaining(folder) if molecules else None
    illustrate = explained or (plain_drawing if molecules else None)
    best, worst = examples(run.test, run.inputs, run.targets, report["task_type"], illustrate)
    covering = coverage(run)
    units = report["units"] if report["units"] and report["task_type"] == "regression" else ""
    heads = ("target", f"validation {metric.label}", f"test {metric.label}")
    return {
        "report": report,
        "number": number,
        "percent": lambda share: "–" if np.isnan(share) else f"{share:.0%}",
        "label": label_of(report),
        "normalised": report.get("scale_per_task") is not None,
        "normalising": NORMALISING,
        "tested": tested,
        "better": "higher" if metric.higher_is_better else "lower",
        "units": units,
        "interval": test_interval(run, report["metric"]),
        "resamples": RESAMPLES,
        "facts": facts(report),
        "weights": ranked,
        "heads": ("metric", "validation", "test") if metric.parts else heads,
        "largest": max((value for _, value in ranked), default=1.0),
        "meaning": meaning(report).replace("**", "").replace("`", ""),
        "coverage": covering if len(covering) > 1 else {},
        "coverage_head": f"inside {CONFIDENCE:.0%}",
        "coverage_line": coverage_line(
            covering, classification=report["task_type"] == "classification", units=units
        ),
        "training": training_pictures(run),
        "predictions": prediction_pictures(run) if tested else [],
        "best": best,
        "worst": worst,
        "explained": explained is not None,
        "excluded": run.excluded[:MOST_EXCLUDED],
        "excluded_more": max(0, len(run.excluded) - MOST_EXCLUDED),
        "config": run.config,
    }


def test_interval(run: RunFiles, metric: str) -> tuple[float, float] | None:
    """The bootstrap interval of the test score over test samples; None where it does not exist."""
    found = run.part("test")
    if not len(found.rows) or too_coarse(run.predictions):
        return None
    low, high = interval(bootstrap(metric, [found], resamples=RESAMPLES)[0])
    return None if np.isnan(low) else (low, high)


def facts(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The table below the headline."""
    split, corpus = report["split"], report["corpus"]
    samples, _ = SAMPLES[report["modality"]]
    size = f"{corpus[samples]:,} {samples}, {corpus['in_test']:,} of them in the test part"
    sizes = ", ".join(f"{name} {size:,}" for name, size in split["sizes"].items() if size)
    return [
        ("method", method_line(report)),
        ("protocol", f"{report['protocol']}; the test part was read {times(report['test_evaluations'])}"),
        ("split", f"{split['kind']} ({sizes}), hash {split['hash'][:12]}"),
        ("data", f"{data_line(report)}, SHA-256 {str(report['data_sha256'])[:12]}"),
        *read_as(report),
        ("pretraining corpus", "none" if corpus["name"] == "none" else f"{corpus['name']}: {size}"),
        ("backbone", backbone_line(report)),
        ("seed", str(report["seed"])),
        ("time", f"{report['seconds']:,.0f} s"),
        ("pretraining samples", f"{report['images']:,}"),
    ]


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"
