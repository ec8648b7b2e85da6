"""What a method is: what a run does with its encoder before the test part is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from molweight.distributed.launch import rank_seed, stop_together
from molweight.methods.configs import LearnConfig, RunOptions, SearchConfig
from molweight.methods.run_directory import RunDirectory
from molweight.methods.weight_significance import WeightSignificance
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.typing import Batch
from molweight.training.finetune import FinetuneConfig, Finetuned, evaluate, finetune
from molweight.training.setup import DataModule, Named, Predictor, SetupConfig
from molweight.training.streams import Stream
from molweight.training.task import Predicted
from molweight.training.workers import Workers, choose_workers

AnyNamed = TypeVar("AnyNamed", bound=Named)


@dataclass(frozen=True, kw_only=True)
class Final:
    """A model that is ready for the test.

    Args:
        predict: see :data:`molweight.training.setup.Predictor`.
        module: the network; None for a baseline without one.
        tuned: how finetuning went; None without a network.
    """

    predict: Predictor
    module: nn.Module | None = None
    tuned: Finetuned | None = None


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The end of the learning stage.

    Args:
        weights: of the objectives; empty where nothing was pretrained.
        separation: whether each was pushed away from equal by more than noise.
        engine: that drove the levels, with its version.
        images: pretraining samples seen.
        final: the model, where the method has finetuned it already.
        seconds_reused: of pretraining that another run has done: :mod:`molweight.methods.pretraining_cache`.
    """

    weights: dict[str, float] = field(default_factory=dict)
    separation: dict[str, WeightSignificance] = field(default_factory=dict)
    engine: str = "none"
    images: int = 0
    final: Final | None = None
    seconds_reused: float = 0.0


@dataclass(frozen=True)
class Method:
    """One way to adapt an encoder; the first sentence of a subclass's docstring explains it to users.

    A subclass with a ``name`` is found by :mod:`molweight.methods.registry`.

    Args:
        argument: what stands behind the name, as in ``single:jigsaw``; empty where nothing does.
    """

    argument: str = ""

    name: ClassVar[str] = ""
    takes: ClassVar[str] = ""
    """What the argument is, such as "an objective"; empty where there is none."""
    needs_argument: ClassVar[bool] = False
    pretrains: ClassVar[bool] = True
    """Whether the backbone is trained on unlabelled samples."""
    learns: ClassVar[bool] = False
    """Whether weights are learned by implicit differentiation."""
    needs_network: ClassVar[bool] = True
    ignores_weights: ClassVar[bool] = False
    """Whether the backbone starts at random, whatever ``backbone.init`` says."""
    takes_own_objectives: ClassVar[bool] = True
    """Whether objectives can join those of the configuration."""

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name

    def choose(self, objectives: Sequence[AnyNamed]) -> list[AnyNamed]:
        """Those of the preset that it pretrains with; each has a ``name``."""
        return list(objectives) if self.pretrains else []

    def fingerprint(self, objectives: Sequence[str]) -> dict[str, object]:
        """What decides the result and stands in no option, such as the content of a file."""
        return {}

    def check(self, config: RunConfig) -> None:
        """Raise :class:`molweight.errors.ConfigError` for options that it refuses, before any work."""

    def pretrain(
        self, setup: DataModule, config: RunConfig, directory: RunDirectory, *, progress: bool
    ) -> Learned:
        """Adapt the backbone of ``setup.pretraining`` in place, or continue doing so.

        Args:
            setup: models, objectives and data.
            config: of the run.
            directory: of its records and checkpoints.
            progress: show a bar.
        """
        return Learned()

    def finetune(self, setup: DataModule, config: RunConfig, *, progress: bool) -> Final:
        """Finetune a task model around the adapted backbone; the part ``meta`` joins train again.

        Everything random is derived from the seed, so a run that is continued finds the same model. A signal
        ends it after a step; it begins anew when the run is continued.
        """
        torch.manual_seed(rank_seed(config.seed))  # dropout
        model = setup.make_model(setup.pretraining.backbone, config.seed)
        device = setup.transfer.device
        with Workers(choose_workers(config.workers, device)) as workers:
            stream = Stream(
                setup.fetch_labelled,
                torch.cat([setup.train.positions, setup.meta.positions]),
                batch_size=config.finetune.batch_size,
                seed=config.seed,
                name="retrain",
                workers=workers,
                transfer=setup.transfer,
            )
            tuned = finetune(
                model,
                setup.task,
                stream,
                setup.valid.evaluation,
                config.finetune,
                steps_per_epoch=stream.per_epoch,
                progress=progress,
                between=partial(stop_together, device=device),
            )

        def predict(positions: Tensor, batches: Iterator[Batch]) -> Predicted:
            return setup.task.predicted(*evaluate(model, batches))

        return Final(predict=predict, module=model, tuned=tuned)


@dataclass(frozen=True, kw_only=True)
class RunConfig(RunOptions):
    """One run, with every choice made and checked.

    Args:
        method: what happens to the objectives' weights; docs/choosing.md says which to take.
    """

    modality: str
    samples: SetupConfig
    learn: LearnConfig
    search: SearchConfig
    finetune: FinetuneConfig
    hypergradient: Hypergradient
    hypergradient_name: str
    method: Method
    text: str
    """The resolved configuration as YAML."""
    hash: str
    """Of everything that decides the result."""

    def __post_init__(self) -> None:
        self.method.check(self)
