"""The choices of a run, typed: :mod:`molweight.config.run_config` fills them in, methods read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from molweight.errors import ConfigError
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.proximal import Proximal, Reduction, make_proximal
from molweight.tapweight.solver import Unroll
from molweight.training.finetune import FinetuneConfig
from molweight.training.optimisers import OptimiserConfig

LARGEST_SEED = 2**32 - 1  # NumPy's and scikit-learn's


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """Samples in a batch of each level.

    Args:
        pretrain: unlabelled samples in a batch of level 1, >= 2.
        finetune: training samples in a batch of level 2, >= 2.
        weights: validation samples in a batch of level 3, >= 2.
    """

    pretrain: int
    finetune: int
    weights: int


@dataclass(frozen=True, kw_only=True)
class ProximalConfig:
    """The term that ties level 2's backbone to level 1's; see :mod:`molweight.tapweight.proximal`.

    Args:
        kind: ``l2``, ``smooth_l1``, ``l1`` or, for text, ``l1_encoder``.
        gamma: strength; None takes the published one of the task's kind.
        reduction: ``sum`` or ``mean`` over the backbone's parameters.
        beta: where ``smooth_l1`` turns from squares to absolute values.
    """

    kind: str
    gamma: float | None
    reduction: Reduction
    beta: float

    def __post_init__(self) -> None:
        if self.gamma is not None and not self.gamma > 0:
            raise ConfigError(f"learn.proximal.gamma must be > 0 or null, got {self.gamma}")
        self.build(1.0)

    def build(self, published: float) -> Proximal:
        """The term, of the published strength where none is set."""
        gamma = published if self.gamma is None else self.gamma
        return make_proximal(self.kind, gamma=gamma, reduction=self.reduction, beta=self.beta)


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How the weights are learned.

    Args:
        steps: outer steps; each of them updates the weights once the burn-in is over.
        burn_in: fraction of the steps, [0, 1), in which the weights do not change: heads that are new beside
            a pretrained backbone give them directions that later updates contradict.
        unroll: lower-level steps for each.
        batch_size: of each level.
        accumulate: validation batches averaged for each update of the weights.
        averaging: of the hypergradients of several.
        update: how the weights move: along the gradient of their softmax logits, or by exponentiated
            gradient.
        proximal: the term between levels 1 and 2.
        checkpoint_every: outer steps between two checkpoints.
        pretrain, finetune, weights: optimisers of the three levels.
    """

    steps: int
    burn_in: float
    unroll: Unroll
    batch_size: BatchSizes
    accumulate: int
    averaging: AveragingConfig
    update: Literal["softmax", "exponentiated"]
    proximal: ProximalConfig
    checkpoint_every: int
    pretrain: OptimiserConfig
    finetune: OptimiserConfig
    weights: OptimiserConfig

    def __post_init__(self) -> None:
        sizes = (self.batch_size.pretrain, self.batch_size.finetune, self.batch_size.weights)
        if min(self.steps, self.checkpoint_every, self.accumulate) < 1 or min(sizes) < 2:
            raise ConfigError(
                "learn needs steps >= 1, checkpoint_every >= 1, accumulate >= 1 and batch sizes >= 2, got "
                f"{self.steps}, {self.checkpoint_every}, {self.accumulate} and {sizes}"
            )
        if not 0 <= self.burn_in < 1:
            raise ConfigError(f"learn.burn_in must be a fraction of the steps in [0, 1), got {self.burn_in}")

    @property
    def burn_in_steps(self) -> int:
        """Steps of the burn-in; the last step always learns."""
        return min(round(self.burn_in * self.steps), self.steps - 1)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """``method=random_search``.

    Args:
        trials: weightings that are tried, >= 1; the first is the equal one, the others are drawn at random.
        share: divide ``learn.steps`` among the trials, for the budget of a single run; otherwise each takes
            all.
    """

    trials: int
    share: bool

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"search.trials must be >= 1, got {self.trials}")

    def steps(self, total: int) -> int:
        """Outer steps of one trial."""
        return max(1, total // self.trials) if self.share else total


@dataclass(frozen=True, kw_only=True)
class HeadConfig(FinetuneConfig):
    """How the adapted backbone becomes the final model.

    Args:
        dropout: probability, before the task head, [0, 1).
    """

    dropout: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"finetune.dropout must be a number in [0, 1), got {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of a run outside of all sections.

    Args:
        solver: the same arithmetic in two ways; ``auto`` takes betty where Betty 0.2 is importable.
        protocol: ``paper``: level 3 and model selection share the validation part; ``strict``: level 3 uses a
            part carved out of train, validation only selects.
        meta_fraction: share of train that level 3 uses under ``protocol=strict``, (0, 1).
        seed: of initial weights, batches, augmentation; not of the split; [0, 2^32).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: of the losses of levels 1 and 2; hypergradients are float32.
        sync_batchnorm: under torchrun, BatchNorm sees the whole batch; false: each process's shard.
        threads: CPU threads, >= 1; None: all cores.
        workers: threads that prepare batches ahead of use; None: those left free, 1 to 4; 0: none.
        pretraining_cache: folder in which runs share continued pretraining that never reads the task.
        run_dir: folder of the run; the same command with the same folder resumes it.
    """

    solver: Literal["auto", "betty", "native"]
    protocol: Literal["paper", "strict"]
    meta_fraction: float
    seed: int
    device: str
    precision: Literal["float32", "bfloat16", "float16"]
    sync_batchnorm: bool
    threads: int | None
    workers: int | None
    pretraining_cache: Path | None
    run_dir: Path

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ConfigError(f"seed must be between 0 and {LARGEST_SEED}, got {self.seed}")
        if not 0 < self.meta_fraction < 1:
            raise ConfigError(f"meta_fraction must be between 0 and 1, got {self.meta_fraction}")
        for name, value, least in (("threads", self.threads, 1), ("workers", self.workers, 0)):
            if value is not None and value < least:
                raise ConfigError(f"{name} must be >= {least} or null, got {value}")
        if self.pretraining_cache is not None:
            object.__setattr__(self, "pretraining_cache", self.pretraining_cache.expanduser())
