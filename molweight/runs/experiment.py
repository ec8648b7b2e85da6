"""One run: prepare, pretrain in the way of the method, finetune, test once, report."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from molweight.distributed.batch_norm import share_statistics
from molweight.distributed.collectives import is_main_process, world_size
from molweight.distributed.launch import (
    broadcast,
    launched_rank,
    main_process_first,
    processes,
    rank_dir,
    rank_seed,
)
from molweight.errors import DataError, MolweightError
from molweight.inference.predictions_file import save_predictions
from molweight.methods.base import Final, RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.reporting.page import try_page
from molweight.reporting.plots import save_weights_plot
from molweight.reporting.report import Report, build_report
from molweight.training.metrics import Score
from molweight.training.setup import DataModule, Predictor, Samples
from molweight.training.task import Predicted
from molweight.utils.files import write_json, write_text
from molweight.utils.machine import at_most
from molweight.utils.signals import Interrupted, crash_log, interruptible
from molweight.utils.tensor_files import save_tensors

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Clock:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside under a name."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def run_experiment(
    config: RunConfig,
    *,
    table: Samples = None,
    unlabelled: Samples = None,
    progress: bool = False,
    command: str = "",
    page: bool = True,
) -> Report:
    """Run everything, or continue what is left of an interrupted run in the same directory.

    Args:
        config: from :func:`molweight.config.load_config`.
        table: labelled samples: for molecules a data frame or what else a reader takes, with ``dataset=csv``.
        unlabelled: samples to pretrain on instead of the corpus, such as a list of SMILES.
        progress: show bars.
        command: recorded in the report.
        page: write ``report.html`` at the end.

    Raises:
        MolweightError: the user's input or machine; ``status.json`` says why once the folder is claimed.
        Interrupted: by a signal; running the same command again continues.
    """
    config.samples.check_sources(table, unlabelled)
    with processes(config.device) as device, ExitStack() as held:
        directory = RunDirectory(Path(broadcast(str(config.run_dir))))
        with main_process_first(device):
            held.enter_context(directory.alone())
            if is_main_process():
                directory.open(config.text, config.hash)
                held.enter_context(crash_log(directory.crash_log))
        with status_recorded(directory), interruptible(), at_most(config.threads):
            sources = {"labelled": table, "unlabelled": unlabelled}
            report = _run(config, directory, device, sources, progress=progress, command=command)
    if page and not launched_rank():
        try_page(directory.path)
    return report


@contextmanager
def status_recorded(directory: RunDirectory) -> Iterator[None]:
    """Write into ``status.json`` how the run inside ends."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        record_status(directory, "interrupted")
        raise
    except BaseException as error:
        trace = None if isinstance(error, MolweightError) else traceback.format_exc()
        record_status(directory, "failed", error=str(error), traceback=trace)
        raise
    directory.status("ok")


def record_status(directory: RunDirectory, state: str, **more: object) -> None:
    """Write how a run has ended, unless the disk is full: the error that ended it says so."""
    try:
        directory.status(state, **more)
    except DataError as error:
        logger.warning("%s", error)


def _run(
    config: RunConfig,
    directory: RunDirectory,
    device: torch.device,
    sources: Mapping[str, Samples],
    *,
    progress: bool,
    command: str,
) -> Report:
    """Everything in its order; :func:`score_validation_and_test` alone reads the test part."""
    progress, method, clock = progress and is_main_process(), config.method, Clock()
    with clock.stage("prepare"):
        setup = prepare(config, directory, device, sources, progress=progress)
    with clock.stage("learn"):
        learned = method.pretrain(setup, config, directory, progress=progress)
    clock.seconds["learn"] += learned.seconds_reused
    if method.pretrains:
        save_backbone(setup, config, directory)
    with clock.stage("finetune"):
        final = learned.final or method.finetune(setup, config, progress=progress)
    with clock.stage("test"):
        checked = final.predict(setup.valid.positions, setup.valid.evaluation())
    save_model(final, setup, checked, directory)
    with clock.stage("test"):
        valid, test, predictions = score_validation_and_test(setup, final.predict, checked)
    if is_main_process():
        save_predictions(directory.path / "predictions.csv", setup, predictions)
    report = build_report(
        config, setup, learned, final.tuned, valid=valid, test=test, seconds=clock.seconds, command=command
    )
    if is_main_process():
        write_json(directory.path / "report.json", report.to_json())
        write_text(directory.path / "report.md", report.markdown())
        if final.module is not None:
            write_text(directory.path / "MODEL_CARD.md", report.model_card(str(directory.path)))
    return report


def prepare(
    config: RunConfig,
    directory: RunDirectory,
    device: torch.device,
    sources: Mapping[str, Samples],
    *,
    progress: bool,
) -> DataModule:
    """Read, split and wire the samples, or insist that they are still those that the run began with."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(rank_seed(config.seed))
    # The process that leads first: it fills the caches that the others read.
    with main_process_first(device), rank_dir(directory.path) as folder:
        setup = config.samples.prepare(run_dir=folder, device=device, progress=progress, **sources)
        if config.sync_batchnorm and world_size() > 1:
            share_statistics(setup.pretraining)
    directory.verify_data_fingerprint(
        {
            "labelled": setup.facts["data_sha256"],
            "corpus": setup.facts["corpus"]["sha256"],
            "backbone.init": setup.facts["backbone_sha256"],
        },
        read_as=setup.facts.get("read_as", []),
    )
    logger.info("%s", setup.summary)
    return setup


def save_backbone(setup: DataModule, config: RunConfig, directory: RunDirectory) -> None:
    """Write the adapted backbone, and a picture of the weights that its objectives had."""
    if is_main_process():
        save_tensors(setup.pretraining.backbone, directory.path / "backbone.safetensors")
        setup.export(directory.path)
        what = "Learned weights" if config.method.learns else "Weights"
        title = f"{what} of the objectives: {config.samples.name}"
        save_weights_plot(directory.records(), directory.path / "weights.png", title=title)


def save_model(final: Final, setup: DataModule, checked: Predicted, directory: RunDirectory) -> None:
    """Write the final model, if it is a network, and what its weights mean.

    Args:
        final: with or without a network.
        setup: says what the outputs are.
        checked: predictions and labels of the validation part, which probabilities are calibrated with.
        directory: of the run.
    """
    if final.module is not None and is_main_process():
        save_tensors(final.module, directory.path / "model.safetensors")
        metadata = {**setup.model_metadata, **setup.task.metadata(), **setup.task.calibration(checked)}
        write_json(directory.path / "model.json", {"schema": 1, **metadata})


def score_validation_and_test(
    setup: DataModule, predict: Predictor, checked: Predicted
) -> tuple[Score, Score, dict[str, tuple[Tensor, Predicted]]]:
    """Scores of the validation and the test part, and the predictions behind them.

    This is the one place where the test part is read; every decision lies behind.

    Args:
        setup: with both parts.
        predict: the final model's predictions.
        checked: what was predicted of the validation part.

    Returns:
        Both scores, NaN without a test part, and positions [n] and predictions by part.
    """
    predictions = {"valid": (setup.valid.positions, checked)}
    setup.test.unlock()
    if len(setup.test):
        positions, batches = setup.test.read()
        predictions["test"] = (positions, predict(positions, batches))
    else:
        predictions["test"] = (setup.valid.positions[:0], checked[:0])
    scores = [setup.task.score(part.ranked, part.y_true) for _, part in predictions.values()]
    return scores[0], scores[1], predictions
