"""A run's result: the typed content of ``report.json``, from which pages and Markdown are rendered."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from molweight.data.results import ScaffoldSets
from molweight.distributed.collectives import world_size
from molweight.distributed.devices import choose_device
from molweight.errors import DataError
from molweight.methods.base import Learned, RunConfig
from molweight.methods.weight_significance import WeightSignificance, as_dict, sentence
from molweight.reporting.typed_json import decode, encode
from molweight.training.finetune import Finetuned
from molweight.training.metrics import METRICS, Metric, Score, score_label
from molweight.training.setup import DataModule
from molweight.utils.formats import number
from molweight.utils.machine import processor, versions
from molweight.utils.pages import for_notebooks, render_markdown
from molweight.utils.terminal import columns

SCHEMA = 1
MOLECULES, TEXT = {"modality": "molecules"}, {"modality": "text"}  # fields that only its reports have


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """How the samples were divided; ``sizes`` in samples by part, ``hash`` of the parts' samples."""

    kind: str
    seed: int | None
    hash: str
    sizes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What was pretrained on; ``in_test`` counts samples of the test part, seen without their labels."""

    name: str
    molecules: int = field(default=0, metadata=MOLECULES)
    sentences: int = field(default=0, metadata=TEXT)
    invalid: int = field(default=0, metadata=MOLECULES)
    held_out: int = field(default=0, metadata=MOLECULES)
    sha256: str | None
    in_test: int


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of finetuning; ``valid`` is the validation score."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid: float


@dataclass(frozen=True, kw_only=True)
class FinetuneFacts:
    """How the final training went."""

    best_epoch: int
    epochs: int
    selected_by: str
    constant_predictions: bool
    history: Sequence[Epoch]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What besides the versions decides the last digits."""

    device: str
    processor: str
    threads: int
    processes: int
    system: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run's result; its fields are the keys of ``report.json``. NaN is a number that does not exist.

    Args:
        score: what ``valid`` and ``test`` are; None in files of before it was written.
        valid, test: scores of both parts; the test score is NaN without a test part.
        valid_per_task, test_per_task: by target in its units, or by part of the metric.
        scale_per_task: divisors of the targets' errors where the score is a mean of such; else None.
        weights: of the objectives.
        separation: whether each weight was pushed away from equal by more than noise.
        updates: how often the weights were updated, or would have been by a method that learns them.
        hypergradient: how the weights were learned; None where they were not.
        images: pretraining samples that were seen.
        seconds: in all; of them ``seconds_reused`` in another run whose pretraining was reused.
        n_conflicting: duplicates with other labels; None where they are not counted.
        read_as: what was guessed about the table.
    """

    schema: int = SCHEMA
    modality: str = "molecules"
    dataset: str
    data_sha256: str
    n_rows: int
    n_invalid: int
    n_duplicates: int
    task_type: str
    metric: str
    score: str | None = None
    method: str
    seed: int
    protocol: str
    split: SplitFacts
    valid: float
    test: float
    valid_per_task: Mapping[str, float]
    test_per_task: Mapping[str, float]
    scale_per_task: Mapping[str, float] | None = None
    test_undefined: int
    test_evaluations: int
    weights: Mapping[str, float]
    separation: Mapping[str, WeightSignificance]
    updates: int
    engine: str
    hypergradient: str | None
    finetune: FinetuneFacts | None
    parameters: int
    images: int
    seconds: float
    seconds_by_stage: Mapping[str, float]
    seconds_reused: float = 0.0
    n_unlabelled: int = field(default=0, metadata=MOLECULES)
    n_conflicting: int | None = None
    n_shortened: int = field(default=0, metadata=TEXT)
    scaffolds: ScaffoldSets | None = field(default=None, metadata=MOLECULES)
    units: str | None
    classes: Mapping[str, Sequence[str]] | None = field(default=None, metadata=MOLECULES)
    read_as: Sequence[str] = field(default=(), metadata=MOLECULES)
    corpus: CorpusFacts
    backbone: str
    backbone_init: str
    backbone_sha256: str | None
    versions: Mapping[str, str]
    machine: Machine | None = None
    config_hash: str
    command: str

    def to_json(self) -> dict[str, object]:
        """The content of ``report.json``, keys in the order of the file."""
        return dict(encode(self, self.modality))

    @classmethod
    def from_json(cls, content: object) -> Report:
        """The report of a file, also of one that an earlier version has written.

        Args:
            content: of ``report.json``.

        Raises:
            DataError: a key is missing, or its value is of another type.
        """
        try:
            report = decode(cls, content)
        except (ValueError, OverflowError) as error:
            raise DataError(f"this is not the report of a run: {error}") from error
        if report.metric not in METRICS or report.modality not in ("molecules", "text"):
            raise DataError(f"its metric {report.metric!r} or modality {report.modality!r} is unknown")
        return report

    @property
    def content(self) -> dict[str, object]:
        """The same as :meth:`to_json`."""
        return self.to_json()

    @property
    def scoring(self) -> Metric:
        """The metric of every score."""
        return METRICS[self.metric]

    @property
    def label(self) -> str:
        """What the score is; earlier versions took the mean over targets in whatever units they had."""
        return self.score or self.scoring.label

    @property
    def tested(self) -> bool:
        """Whether there is a test part."""
        return bool(self.split.sizes.get("test"))

    @property
    def headline(self) -> str:
        """The score to name first: that of the test part, if there is one."""
        if not self.tested:
            return f"validation {self.label} {number(self.valid)}, not tested"
        return f"test {self.label} {number(self.test)}"

    @property
    def outcome(self) -> str:
        """The :attr:`headline`, the validation score beside a test score, and the seconds."""
        validation = f" (validation {number(self.valid)})" if self.test_evaluations else ""
        return f"{self.headline}{validation}, {self.seconds:.0f} s"

    @property
    def ranked_weights(self) -> list[tuple[str, float]]:
        """Objectives and their weights, largest first."""
        return sorted(self.weights.items(), key=lambda item: -item[1])

    @property
    def meaning(self) -> str:
        """What learned weights mean, in a sentence; empty for weights that were not learned."""
        learned = self.separation or self.hypergradient
        return sentence(as_dict(dict(self.separation)), self.updates) if learned else ""

    @property
    def score_units(self) -> str:
        """Units of the score; empty for a metric without, and for a mean over targets of different scale."""
        normalised = self.scale_per_task or self.task_type != "regression"
        return "" if normalised else self.units or ""

    def __repr__(self) -> str:
        """What was run, its scores and weights as a table; everything: :meth:`markdown`, :attr:`content`."""
        rows = [
            ("data", self.dataset),
            ("method", self.method),
            (f"test {self.label}", number(self.test)),
            (f"validation {self.label}", number(self.valid)),
            *((f"weight of {name}", number(weight)) for name, weight in self.ranked_weights),
        ]
        return "\n".join(columns(rows, align="<>"))

    def markdown(self) -> str:
        """The content of ``report.md``."""
        return render_markdown("molweight.reporting", "report.md", report=self)

    def model_card(self, folder: str) -> str:
        """The content of ``MODEL_CARD.md``.

        After Mitchell et al., Model Cards for Model Reporting (FAT* 2019).

        Args:
            folder: of the run, as its user calls it.
        """
        return render_markdown("molweight.reporting", "model_card.md", report=self, folder=folder)

    def _repr_html_(self) -> str:
        """The report for notebooks, without the command."""
        return for_notebooks(self.markdown().partition("\n## Reproduce")[0])


def build_report(
    config: RunConfig,
    setup: DataModule,
    learned: Learned,
    tuned: Finetuned | None,
    *,
    valid: Score,
    test: Score,
    seconds: Mapping[str, float],
    command: str,
) -> Report:
    """Collect what a run has to say."""
    facts, task = dict(setup.facts), setup.task
    scale = None if task.scale is None else task.scale.tolist()
    sets = facts.pop("scaffolds", None)
    return Report(
        modality=config.modality,
        task_type=task.kind,
        metric=task.metric,
        score=score_label(task.metric, normalised=scale is not None),
        method=str(config.method),
        seed=config.seed,
        protocol=config.protocol,
        split=SplitFacts(**facts.pop("split")),
        valid=valid.value,
        test=test.value,
        valid_per_task=valid.per_task,
        test_per_task=test.per_task,
        scale_per_task=None if scale is None else dict(zip(task.names, scale, strict=True)),
        test_undefined=len(test.undefined),
        test_evaluations=setup.test.evaluations,
        weights=learned.weights,
        separation=learned.separation,
        updates=updates(config),
        engine=learned.engine,
        hypergradient=config.hypergradient_name if config.method.learns else None,
        finetune=None if tuned is None else finetune_facts(tuned),
        parameters=0 if tuned is None else count(setup.pretraining.backbone),
        images=learned.images,
        seconds=sum(seconds.values()),
        seconds_by_stage=dict(seconds),
        seconds_reused=learned.seconds_reused,
        scaffolds=sets and ScaffoldSets(**sets),
        corpus=CorpusFacts(**facts.pop("corpus")),
        versions=versions(),
        machine=machine(config),
        config_hash=config.hash,
        command=command,
        **facts,
    )


def machine(config: RunConfig) -> Machine:
    """Where this process runs."""
    return Machine(
        device=str(choose_device(config.device)),
        processor=processor(),
        threads=torch.get_num_threads(),
        processes=world_size(),
        system=f"{platform.system()} {platform.machine()}",
    )


def updates(config: RunConfig) -> int:
    """How often the weights were updated, or would have been by a method that learns them."""
    if not config.method.pretrains:
        return 0
    return config.learn.steps - (config.learn.burn_in_steps if config.method.learns else 0)


def count(module: nn.Module) -> int:
    """The number of its parameters."""
    return sum(p.numel() for p in module.parameters())


def finetune_facts(tuned: Finetuned) -> FinetuneFacts:
    """How the final training went."""
    return FinetuneFacts(
        best_epoch=tuned.best_epoch,
        epochs=len(tuned.history),
        selected_by=tuned.selected_by,
        constant_predictions=tuned.constant,
        history=[Epoch(**epoch) for epoch in tuned.history],
    )
