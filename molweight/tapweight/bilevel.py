"""Two levels: one model learns the objectives and the task at once, the weights follow the validation loss.

TapWeight's ablation without a proximal copy (section 5)::

    theta*(lambda) = argmin_theta  sum_k lambda_k L_k(theta; unlabelled) + L(theta; train)
    min_alpha L(theta*(lambda); validation)

    q = H^-1 grad_theta L_val
    s_k = < grad_theta L_k, q >
    dL_val/dalpha = -(diag(lambda) - lambda lambda^T) s

with theta the shared backbone, the objectives' heads and the task's head, H the Hessian of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molweight.distributed.collectives import all_reduce_mean, of_whole_batch
from molweight.tapweight.averaging import AveragingConfig
from molweight.tapweight.batches import inner, nest
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.levels import Pretraining, WeightLevel
from molweight.tapweight.solver import WeightLearner
from molweight.tapweight.typing import Batch, Batches, LevelBatches, Params, StateDict, TaskLoss

UNLABELLED, LABELLED = "unlabelled", "labelled"  # the two batches of a joint one


class JointModel(nn.Module):
    """Objectives and task over one backbone: ``model(batch)`` is [k + 1], the task's loss last.

    Args:
        pretraining: ``pretraining(batch)`` is [k].
        task: outputs [b, t]; its backbone is that of ``pretraining``.
        task_loss: of the outputs.
    """

    def __init__(self, pretraining: nn.Module, task: nn.Module, task_loss: TaskLoss) -> None:
        super().__init__()
        self.pretraining, self.task, self.task_loss = pretraining, task, task_loss

    def forward(self, batch: Batch) -> Tensor:
        """The loss vector, [k + 1]."""
        labelled = inner(batch, LABELLED)
        task = of_whole_batch(self.task_loss)(self.task(labelled), labelled)
        return torch.cat([self.pretraining(inner(batch, UNLABELLED)), task[None]])


class ZippedLoaders:
    """Two streams read side by side.

    Args:
        unlabelled: for the objectives.
        labelled: for the task.
    """

    def __init__(self, unlabelled: Batches, labelled: Batches) -> None:
        self.streams = {UNLABELLED: unlabelled, LABELLED: labelled}

    def next(self) -> Batch:
        """The next batch of both, nested."""
        return nest({source: stream.next() for source, stream in self.streams.items()})

    def state_dict(self) -> StateDict:
        """The positions in both; checkpoints name the streams with a slash at the end."""
        return {f"{source}/": stream.state_dict() for source, stream in self.streams.items()}

    def load_state_dict(self, state: StateDict) -> None:
        """Continue at saved positions."""
        for source, stream in self.streams.items():
            stream.load_state_dict(state[f"{source}/"])


@dataclass(kw_only=True)
class JointLevel(Pretraining):
    """The lower level. ``module`` is a :class:`JointModel`; the task's loss weighs one."""

    def total(self, losses: Tensor) -> Tensor:
        """The weighted sum of the objectives, and the task's loss."""
        total: Tensor = self.mixture(losses[:-1]) + losses[-1]
        return total

    def objective_losses(self, losses: Tensor) -> Tensor:
        """The objectives' losses, without the task's."""
        return losses[:-1]


class Bilevel(WeightLearner):
    """Runs the two levels.

    Args:
        joint: the lower level; its ``module`` is a :class:`JointModel`.
        weights: the upper one, whose model is the joint model's task.
        hypergradient: its ``pretrain`` inverse and its directional derivative are used.
        every: lower-level steps for each update of the weights, > 0.
        averaging: of the hypergradients.
        burn_in: outer steps at the start in which the weights wait for the heads.
    """

    def __init__(
        self,
        joint: JointLevel,
        weights: WeightLevel,
        hypergradient: Hypergradient,
        *,
        every: int,
        averaging: AveragingConfig | None = None,
        burn_in: int = 0,
    ) -> None:
        super().__init__((joint,), weights, hypergradient, averaging=averaging, burn_in=burn_in)
        self.joint, self.every = joint, every

    def run_lower_levels(self) -> LevelBatches:
        """``every`` steps of the joint level."""
        batches = {}
        for _ in range(self.every):
            batches["pretrain"] = self.joint.train_step()
        return batches

    def compute_hypergradient(self, batches: LevelBatches, loss: Tensor) -> Tensor:
        """Through the joint level."""
        v: Params = torch.autograd.grad(loss, self.joint.parameters, materialize_grads=True)
        return self.hypergradient.vjp_level1(self.joint, batches["pretrain"], all_reduce_mean(v))

    @property
    def finetune_loss(self) -> float:
        """The task's loss within the joint one."""
        return self.joint.losses[-1].item()
