"""BatchNorm over a batch that several processes share: its statistics are those of all, or averages.

torch's SyncBatchNorm runs on GPUs only and has neither a second derivative nor a forward-mode one; the
hypergradient needs both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from molweight.distributed.collectives import all_gather, all_reduce_mean, world_size


class SharedBatchNorm(_BatchNorm):
    """BatchNorm whose mean and variance are those of the whole batch, in training mode.

    Its parameters, buffers and state dict are those of torch's layers. The variance of all is the mean of
    the processes' variances and the variance of their means, so that nothing cancels (Chan et al. 1979).
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any with channels."""

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, …] -> the same shape."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        center, variance = statistics_of_all(*own_statistics(wide.detach()))
        self.update_running_stats(center, variance, world_size() * x.numel() // x.shape[1])
        if self.affine:
            normalised: Tensor = Normalised.apply(wide, self.weight, self.bias, center, variance, self.eps)
            return normalised.to(x.dtype)
        return in_tensor_operations(wide, None, None, self.eps).to(x.dtype)

    @torch.no_grad()
    def update_running_stats(self, center: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, as torch's layers do.

        Args:
            center: mean of the batch, [c].
            variance: of the batch, biased, [c].
            count: of values behind each.
        """
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        step = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(center.to(self.running_mean.dtype), step)
        unbiased = variance * (count / max(count - 1, 1))
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), step)


def own_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance [c] of a process's share [b, c, …], without derivatives."""
    if x.device.type == "cpu":  # five times as fast as var_mean there
        return torch.batch_norm_update_stats(x, None, None, 0.0)
    variance, center = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
    return center, variance


def statistics_of_all(center: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance [c] of the whole batch, from those of equal shares."""
    centers, variances = all_gather(torch.stack([center, variance])).unbind(dim=1)  # [W, c] each
    middle = centers.mean(dim=0)
    return middle, (variances + (centers - middle).square()).mean(dim=0)


def in_tensor_operations(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """The normalised share, as operations that can be differentiated as often as wanted."""
    over, shape = [0, *range(2, x.dim())], (1, -1, *([1] * (x.dim() - 2)))
    center, variance = statistics_of_all(x.mean(over), x.var(over, correction=0))
    normalised = (x - center.view(shape)) * (variance + eps).rsqrt().view(shape)
    return (
        normalised if weight is None or bias is None else normalised * weight.view(shape) + bias.view(shape)
    )


class Normalised(torch.autograd.Function):
    """:func:`in_tensor_operations` by torch's fused kernels; second derivatives go through the operations."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, center: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        """[b, c, …] with statistics [c] of the whole batch, which are taken for constants."""
        return functional.batch_norm(x, center, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[object, ...], output: Tensor) -> None:
        """Keep the inputs, for both modes."""
        *tensors, ctx.eps = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Through the statistics too, which every process's samples move for all."""
        x, weight, bias, center, variance = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the derivative is asked for
            wanted = [t for t, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            out = in_tensor_operations(x, weight, bias, ctx.eps)
            gradient = iter(torch.autograd.grad(out, wanted, gradients[0], create_graph=True))
            return (
                *(next(gradient) if needed else None for needed in ctx.needs_input_grad[:3]),
                None,
                None,
                None,
            )
        scale = (variance + ctx.eps).rsqrt()
        straight, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, center, variance, center, scale, False, ctx.eps, [True, True, True]
        )
        sums = all_gather(torch.stack([by_weight, by_bias])).sum(dim=0)  # of all, [2, c]
        by_spread, by_center = sums * (weight * scale) / (world_size() * x.numel() // x.shape[1])
        straight -= functional.batch_norm(x, center, variance, by_spread, by_center, False, 0.0, ctx.eps)
        return straight, by_weight, by_bias, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """Along directions of the inputs, and of the statistics with them."""
        x, weight, _, center, variance = ctx.saved_tensors
        moved, by_weight, by_bias = tangents[:3]
        over, shape = [0, *range(2, x.dim())], (1, -1, *([1] * (x.dim() - 2)))
        scale = (variance + ctx.eps).rsqrt()
        normal = (x - center.view(shape)) * scale.view(shape)
        tangent = torch.zeros_like(x)
        if moved is not None:
            # the mean of (x - center) is zero over all, so center's own motion leaves the variance alone
            moments = torch.stack([moved.mean(over), 2 * ((x - center.view(shape)) * moved).mean(over)])
            center_moved, variance_moved = all_gather(moments).mean(dim=0)
            relative = -0.5 * scale.square() * variance_moved
            tangent = (moved - center_moved.view(shape)) * scale.view(shape) + normal * relative.view(shape)
            tangent = tangent * weight.view(shape)
        if by_weight is not None:
            tangent = tangent + normal * by_weight.view(shape)
        return tangent if by_bias is None else tangent + by_bias.view(shape)


def share_statistics(module: nn.Module) -> None:
    """Have every BatchNorm below a module see the whole batch; its parameters and buffers stay the same."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(parent, name, shared(child))


def shared(layer: _BatchNorm) -> SharedBatchNorm:
    """A layer's parameters and buffers in a :class:`SharedBatchNorm`."""
    layer_of_all = SharedBatchNorm(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    layer_of_all.affine, layer_of_all.track_running_stats = layer.affine, layer.track_running_stats
    layer_of_all._parameters, layer_of_all._buffers = layer._parameters, layer._buffers
    return layer_of_all.train(layer.training)


def average_statistics(module: nn.Module) -> None:
    """Average the running statistics of layers that see their own process's share only.

    Without it every process would end with another model.
    """
    if world_size() == 1:
        return
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm) and not isinstance(m, SharedBatchNorm)]
    buffers = [b for m in layers for b in (m.running_mean, m.running_var) if b is not None]
    for buffer, value in zip(buffers, all_reduce_mean(tuple(buffers)), strict=True):
        buffer.copy_(value)
