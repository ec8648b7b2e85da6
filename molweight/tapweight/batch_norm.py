"""BatchNorm over a batch that several processes share: its statistics are those of all, or averages.

torch's SyncBatchNorm runs on GPUs only and has neither a second derivative nor a forward-mode one; the
hypergradient needs both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from molweight.tapweight.processes import gathered, mean, world_size


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
        over = [0, *range(2, x.dim())]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        own = torch.stack([wide.mean(over), wide.var(over, correction=0)])  # [2, c]
        means, variances = gathered(own).unbind(dim=1)  # [W, c] each
        center = means.mean(dim=0)
        variance = (variances + (means - center).square()).mean(dim=0)
        self.follow(center.detach(), variance.detach(), world_size() * x.numel() // x.shape[1])
        shape = (1, -1, *([1] * (x.dim() - 2)))
        scale = (variance + self.eps).rsqrt()
        shift = -center * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (wide * scale.view(shape) + shift.view(shape)).to(x.dtype)

    @torch.no_grad()
    def follow(self, center: Tensor, variance: Tensor, count: int) -> None:
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


def share_statistics(module: nn.Module) -> None:
    """Have every BatchNorm below a module see the whole batch; its parameters and buffers stay the same."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                setattr(parent, name, shared(child))


def shared(layer: _BatchNorm) -> SharedBatchNorm:
    """A layer's parameters and buffers in a :class:`SharedBatchNorm`."""
    made = SharedBatchNorm(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    made.affine, made.track_running_stats = layer.affine, layer.track_running_stats
    made._parameters, made._buffers = layer._parameters, layer._buffers
    return made.train(layer.training)


def average_statistics(module: nn.Module) -> None:
    """Average the running statistics of layers that see their own process's share only.

    Without it every process would end with another model.
    """
    if world_size() == 1:
        return
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm) and not isinstance(m, SharedBatchNorm)]
    own = [b for m in layers for b in (m.running_mean, m.running_var) if b is not None]
    for buffer, value in zip(own, mean(tuple(own)), strict=True):
        buffer.copy_(value)
