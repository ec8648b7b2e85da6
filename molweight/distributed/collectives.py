"""Several processes that train one model: each holds all parameters and a share of every batch.

``W`` processes, each with a ``rank`` in 0..W-1; alone, W = 1 and nothing below communicates. Every process
computes the losses of the *whole* batch, by :func:`averaged` or :func:`whole_batch`, and differentiates them
with respect to its own copy of the parameters, through the others' computations too. The derivative is then
the mean over the processes of what each has found, :func:`all_reduce_mean`; so it is for gradients, Hessian
products and whatever else is linear in them. Sums over processes are taken in the order of their ranks.

Gradients are averaged here: ``torch.autograd.grad`` does not call the hooks of ``DistributedDataParallel``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from molweight.errors import ProcessLostError

Params = tuple[Tensor, ...]
Batch = Mapping[str, Tensor]
TaskLoss = Callable[[Tensor, Batch], Tensor]


def world_size() -> int:
    """W, the number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main_process() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def all_gather(x: Tensor) -> Tensor:
    """A tensor of every process, [W, …] by rank; differentiable as often as wanted, in both modes."""
    gathered: Tensor = Gathered.apply(x) if world_size() > 1 else x[None]
    return gathered


def averaged(x: Tensor) -> Tensor:
    """The mean of a tensor over the processes, the same in each; differentiable.

    Args:
        x: such as losses that are means over a process's share of a batch.
    """
    return all_gather(x).mean(dim=0) if world_size() > 1 else x


def whole_batch(x: Tensor) -> Tensor:
    """The values [B, …] of a batch of which every process holds its share [B / W, …]; differentiable."""
    return all_gather(x).transpose(0, 1).flatten(0, 1) if world_size() > 1 else x


def per_process(chosen: Tensor) -> Tensor:
    """How many are chosen, a scalar: the mean over the processes, and at least one among all of them.

    A sum over a process's share divided by it is, on average, the mean over all that are chosen.

    Args:
        chosen: of a process's share, booleans of any shape.
    """
    count = chosen.sum()
    return count.clamp(min=1) if world_size() == 1 else averaged(count.float()).clamp(min=1 / world_size())


def shard(x: Tensor) -> Tensor:
    """This process's share [B / W, …] of a batch [B, …]: every W-th sample."""
    return x[rank() :: world_size()]


def of_whole_batch(loss: TaskLoss) -> TaskLoss:
    """A task's loss, of outputs and targets of which every process has its share."""

    def whole(outputs: Tensor, batch: Batch) -> Tensor:
        if world_size() == 1:
            return loss(outputs, batch)
        return loss(whole_batch(outputs), {**batch, "targets": whole_batch(batch["targets"])})

    return whole


def all_reduce_mean(tensors: Params) -> Params:
    """The means of some tensors over the processes, at least in float32, bit for bit the same in each.

    Every process sums a part of all numbers, in the order of the ranks, and hands the sums to the others, as
    a ring would, whatever the transport.
    """
    count = world_size()
    if count == 1 or not tensors:
        return tensors
    wide = functools.reduce(torch.promote_types, (x.dtype for x in tensors), torch.float32)
    flat = torch.cat([x.detach().reshape(-1).to(wide) for x in tensors])
    parts = torch.nn.functional.pad(flat, (0, -len(flat) % count)).view(count, -1)
    total = _all_gather(_sum_of_own(parts) / count).flatten()[: len(flat)]
    split = torch.split(total, [x.numel() for x in tensors])
    return tuple(part.view_as(x).to(x.dtype) for part, x in zip(split, tensors, strict=True))


def average_gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Replace the gradients of parameters by their means over the processes; those that there are."""
    moved = [p for p in parameters if p.grad is not None]
    for parameter, gradient in zip(
        moved, all_reduce_mean(tuple(p.grad for p in moved if p.grad is not None)), strict=True
    ):
        parameter.grad = gradient
    return [p.grad for p in moved if p.grad is not None]


def differ(tensors: Params) -> bool:
    """Whether some tensors are not bit for bit the same in every process."""
    if world_size() == 1:
        return False
    sums = torch.stack([_bit_sum(x) for x in tensors])
    return bool((_all_gather(sums) != sums).any())


def from_all(value: int, device: torch.device) -> list[int]:
    """A whole number of every process, by rank."""
    return [int(n) for n in _all_gather(torch.tensor([value], dtype=torch.int64, device=device)).flatten()]


def of_leader(x: Tensor, device: torch.device) -> Tensor:
    """The tensor of the process that leads, in all: what is decided by it is then decided alike.

    Args:
        x: of one shape in all.
        device: that messages go through.
    """
    if world_size() == 1:
        return x
    sent = x.detach().to(device, copy=True).contiguous()
    with _others():
        dist.broadcast(sent, src=0)
    return sent.to(x.device)


class Gathered(torch.autograd.Function):
    """``x`` to [W, …], a slot for each process."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Every process's tensor."""
        return _all_gather(x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing to keep: it is linear."""

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> object:
        """What all processes say of this one's slot."""
        return SumOfOwn.apply(gradients[0])

    @staticmethod
    def jvp(ctx: FunctionCtx, *tangents: Tensor) -> Tensor:
        """Every process's tangent."""
        return _all_gather(tangents[0])


class SumOfOwn(torch.autograd.Function):
    """[W, …] to the sum of what all processes hold in this one's slot: :class:`Gathered`, transposed."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """The sum, in the order of the ranks."""
        return _sum_of_own(x)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing to keep: it is linear."""

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> object:
        """Every process's gradient."""
        return Gathered.apply(gradients[0])

    @staticmethod
    def jvp(ctx: FunctionCtx, *tangents: Tensor) -> Tensor:
        """The sum of the tangents."""
        return _sum_of_own(tangents[0])


def _bit_sum(x: Tensor) -> Tensor:
    """A scalar that tells tensors apart whose bits differ, positions included; int64 arithmetic wraps."""
    flat = x.detach().reshape(-1)
    bits = flat.view(torch.int32) if flat.element_size() % 4 == 0 else flat
    positions = (
        torch.arange(len(bits), device=bits.device) % 8191 + 1
    )  # a prime: layers are no multiples of it
    return (bits.long() * positions).sum()


def _all_gather(x: Tensor) -> Tensor:
    share = x.detach().contiguous()
    gathered = share.new_empty((world_size(), *share.shape))
    with _others():
        dist.all_gather(list(gathered.unbind()), share)
    return gathered


def _sum_of_own(x: Tensor) -> Tensor:
    sent = x.detach().contiguous()
    received = torch.empty_like(sent)
    with _others():
        dist.all_to_all_single(received, sent)
    return functools.reduce(torch.add, received.unbind())


@contextmanager
def _others() -> Iterator[None]:
    """Say what has happened where the others do not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ProcessLostError(
            f"another process of this run has ended or does not answer ({reason}): what was saved is in the "
            "run directory; repeat the command to continue"
        ) from error
