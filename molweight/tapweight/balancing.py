"""Several losses, one update, no third level: what people do instead of learning the weights.

Letters: k losses, P shared parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from molweight.distributed.collectives import all_reduce_mean
from molweight.errors import ConfigError, unknown
from molweight.tapweight.restoring import restore_optimizer
from molweight.tapweight.typing import Params, StateDict

GRAMIAN = {"mgda": "MGDAWeighting", "pcgrad": "PCGradWeighting", "upgrad": "UPGradWeighting"}  # in torchjd


class Balance(nn.Module, ABC):
    """How level 1's losses become gradients. What it learns or remembers is in its state dict."""

    @abstractmethod
    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """Put a gradient into every parameter.

        Args:
            losses: [k], with their graph.
            parameters: all that level 1 trains, this module's own ones among them.
            shared: those of the backbone, which all losses reach.

        Returns:
            The weights [k] of the losses, sum 1, for the record.
        """


class Fixed(Balance):
    """Weights that stay what they are: equal, given, or learned elsewhere.

    Args:
        weights: [k], not negative, not all zero; brought to sum 1.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        values = torch.tensor(list(weights), dtype=torch.float32)
        if len(values) == 0 or not bool((values >= 0).all()) or not bool(values.isfinite().all()):
            raise ConfigError(f"weights must be numbers >= 0, got {list(weights)}")
        if values.sum() == 0:
            raise ConfigError("weights must not all be zero")
        self.register_buffer("weights", values / values.sum())

    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """Differentiate the weighted sum."""
        torch.autograd.backward(self.weights.to(losses.dtype) @ losses, inputs=parameters)
        return self.weights


class Uncertainty(Balance):
    """Every loss is divided by a learned variance (Kendall, Gal and Cipolla 2018, eq. 7).

    ``sum_k exp(-s_k) L_k + s_k / 2`` with ``s_k`` the log variances, trained with the model's optimiser.

    Args:
        count: k.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(count))

    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """Differentiate the sum, with respect to the variances too."""
        precisions = torch.exp(-self.log_variances)
        torch.autograd.backward((precisions * losses + self.log_variances / 2).sum(), inputs=parameters)
        return precisions.detach() / precisions.detach().sum()


class DynamicWeightAverage(Balance):
    """Losses that fall slowly weigh more (Liu, Johns and Davison 2019, eq. 7: DWA).

    ``lambda = softmax(r / T)`` with ``r_k`` the ratio of the mean losses of the last two windows; equal
    during the first two.

    Args:
        count: k.
        window: level-1 steps that a mean is taken over, > 0; an epoch in the paper.
        temperature: T, > 0; 2 in the paper.
    """

    means: Tensor
    total: Tensor
    seen: Tensor

    def __init__(self, count: int, *, window: int = 50, temperature: float = 2.0) -> None:
        super().__init__()
        if window < 1 or not temperature > 0:
            raise ConfigError(f"dwa needs window >= 1 and temperature > 0, got {window} and {temperature}")
        self.window, self.temperature = window, temperature
        self.register_buffer("means", torch.full((2, count), torch.nan))  # of the last but one window; last
        self.register_buffer("total", torch.zeros(count))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """Differentiate the weighted sum; count the losses into the window."""
        weights = self.weights()
        torch.autograd.backward(weights.to(losses.dtype) @ losses, inputs=parameters)
        self.total += losses.detach()
        self.seen += 1
        if self.seen % self.window == 0:
            self.means.copy_(torch.stack([self.means[1], self.total / self.window]))
            self.total.zero_()
        return weights

    def weights(self) -> Tensor:
        """[k], sum 1."""
        ratios = self.means[1] / self.means[0]
        usable = torch.where(ratios.isfinite(), ratios, torch.ones_like(ratios))  # a loss may reach zero
        return torch.softmax(usable / self.temperature, dim=0)


class GradNorm(Balance):
    """Losses that have fallen least get the largest gradients (Chen et al. 2018, algorithm 1).

    The gradients' norms are compared on the last shared weight matrix. ``|w_k g_k|`` is a linear function of
    ``w_k``, so its derivative needs no second backward pass.

    Args:
        count: k.
        alpha: strength of the pull towards slow losses; 1.5 in the paper.
        lr: of the weights (Adam); 0.025 in the paper.
    """

    values: Tensor
    first: Tensor

    def __init__(self, count: int, *, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__()
        self.alpha = alpha
        self.register_buffer("values", torch.ones(count))  # sum k
        self.register_buffer("first", torch.full((count,), torch.nan))  # losses at the first step
        self.optimizer = torch.optim.Adam([self.values], lr=lr)

    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """Differentiate the weighted sum; then move the weights."""
        last = [p for p in shared if p.dim() > 1][-1:]
        norms = torch.stack([gradient_of(loss, last, keep=True).norm() for loss in losses])
        weights = self.values.clone()
        torch.autograd.backward(weights.to(losses.dtype) @ losses, inputs=parameters)
        values = losses.detach()
        if self.first.isnan().any():
            self.first.copy_(values)
        rates = values / self.first
        target = (weights * norms).mean() * (rates / rates.mean()) ** self.alpha
        self.values.grad = (torch.sign(weights * norms - target) * norms).to(self.values.dtype)
        if bool(self.values.grad.isfinite().all()):
            self.optimizer.step()
            self.values.clamp_(min=1e-3)
            self.values *= len(self.values) / self.values.sum()
        self.values.grad = None
        return weights / weights.sum()

    def get_extra_state(self) -> StateDict:
        """The optimiser of the weights."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: StateDict) -> None:
        """Continue with a saved optimiser."""
        restore_optimizer(self.optimizer, state)


class GradientConflict(Balance):
    """The losses' gradients on the backbone are combined so that they fight less; heads keep their own.

    Args:
        weighting: Gram matrix [k, k] of the gradients to weights [k], such as torchjd's for MGDA (Desideri
            2012; Sener and Koltun 2018), PCGrad (Yu et al. 2020) and UPGrad (Quinton and Rey 2024).
    """

    def __init__(self, weighting: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weighting = weighting

    def backward(self, losses: Tensor, parameters: Params, shared: Params) -> Tensor:
        """k backward passes."""
        rows = torch.stack([gradient_of(loss, shared, keep=True) for loss in losses])  # [k, P]
        weights = self.weighting(rows @ rows.T).to(rows.dtype)
        in_backbone = {id(p) for p in shared}
        heads = [p for p in parameters if id(p) not in in_backbone]
        if heads:
            torch.autograd.backward(losses.sum(), inputs=heads)
        combined = torch.split(weights @ rows, [p.numel() for p in shared])
        for parameter, gradient in zip(shared, combined, strict=True):
            parameter.grad = gradient.view_as(parameter).clone()
        return weights / weights.sum() if weights.sum() > 0 else torch.full_like(weights, 1 / len(weights))


def gradient_of(loss: Tensor, parameters: Sequence[Tensor], *, keep: bool) -> Tensor:
    """One loss's gradient with respect to some parameters, as one vector [P]; zeros where it has none."""
    parts = torch.autograd.grad(loss, list(parameters), retain_graph=keep, materialize_grads=True)
    return torch.cat([part.flatten() for part in all_reduce_mean(parts)])


def make_balance(name: str, count: int) -> Balance:
    """A balance by name: ``equal``, ``uncertainty``, ``dwa``, ``gradnorm``, ``mgda``, ``pcgrad``, ``upgrad``.

    Args:
        name: see above.
        count: k.

    Raises:
        ConfigError: unknown name, or a package is missing.
    """
    if name == "equal":
        return Fixed([1.0] * count)
    learned: dict[str, Callable[[int], Balance]] = {
        "uncertainty": Uncertainty,
        "dwa": DynamicWeightAverage,
        "gradnorm": GradNorm,
    }
    if name in learned:
        return learned[name](count)
    if name not in GRAMIAN:
        raise ConfigError(unknown("balance of losses", name, ["equal", *learned, *GRAMIAN]))
    try:
        from torchjd import aggregation

        return GradientConflict(getattr(aggregation, GRAMIAN[name])())
    except ImportError as error:
        raise ConfigError(
            f"{name} needs torchjd", option="method", hint=f"pip install 'molweight[torchjd]' ({error})"
        ) from error


BALANCES = ("uncertainty", "dwa", "gradnorm", *GRAMIAN)
