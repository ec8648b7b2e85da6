"""``report.html``: a run on one page that needs nothing else, made from the files of its folder alone.

A run's folder may be untrusted: the template escapes whatever it says, and pictures are embedded as images,
in which nothing runs.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from molweight.errors import DataError, MolweightError
from molweight.inference.predictions_file import too_coarse
from molweight.reporting.coverage import CONFIDENCE, average, coverage
from molweight.reporting.examples import examples, explaining, plain_drawing
from molweight.reporting.run_files import RunFiles, read_run
from molweight.reporting.run_pictures import prediction_pictures, training_pictures
from molweight.training.bootstrap import bootstrap, interval
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
    """The page of a run.

    Raises:
        DataError: as of :func:`save_page`.
    """
    from jinja2 import TemplateError

    run = read_run(folder)
    try:
        return _render(run, folder)
    except (
        *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
        TemplateError,
    ) as error:  # whatever may stand in the files of others
        raise DataError(
            f"{folder} does not hold the report of this version ({type(error).__name__}: {error}); run again "
            "into another run_dir="
        ) from error


def _render(run: RunFiles, folder: Path) -> str:
    """Compute, draw and show."""
    report = run.report
    molecules = report.modality == "molecules"
    explained = explaining(folder) if molecules else None
    illustrate = explained or (plain_drawing if molecules else None)
    best, worst = examples(run.test, run.inputs, run.targets, report.task_type, illustrate)
    by_target = coverage(run)
    return render_page(
        "molweight.reporting",
        "report.html",
        report=report,
        interval=test_interval(run, report.metric),
        resamples=RESAMPLES,
        confidence=CONFIDENCE,
        coverage=by_target,
        covered=average(by_target),
        training=training_pictures(run),
        predictions=prediction_pictures(run) if report.tested else [],
        best=best,
        worst=worst,
        explained=explained is not None,
        excluded=run.excluded,
        most_excluded=MOST_EXCLUDED,
        config=run.config,
    )


def test_interval(run: RunFiles, metric: str) -> tuple[float, float] | None:
    """The bootstrap interval of the test score over test samples; None where it does not exist."""
    predictions = run.part("test")
    if not len(predictions.rows) or too_coarse(run.predictions):
        return None
    low, high = interval(bootstrap(metric, [predictions], resamples=RESAMPLES)[0])
    return None if np.isnan(low) else (low, high)
