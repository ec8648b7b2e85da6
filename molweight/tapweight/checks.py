"""Looks at a user's arguments, and at losses on their first batch, before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from molweight.distributed.collectives import world_size
from molweight.errors import ConfigError, DivergedError, MolweightError
from molweight.tapweight.loaders import describe


def require_modules(encoder: object, head: object, objectives: object) -> None:
    """Insist on modules, and on objectives by name.

    Raises:
        ConfigError: naming the argument.
    """
    for name, module in (("encoder", encoder), ("head", head)):
        if not isinstance(module, nn.Module):
            raise ConfigError(f"{name} must be an nn.Module, got {type(module).__name__}")
    if not isinstance(objectives, Mapping) or not objectives:
        raise ConfigError(
            f"objectives must be a dictionary of one or more, such as {{'mask': Mask()}}, got {objectives!r}"
        )


def require_numbers(steps: int, inner_steps: int, burn_in: float, max_grad_norm: float | None) -> None:
    """Insist on the ranges that :func:`~molweight.tapweight.learn.learn_weights` names, and on one process.

    Raises:
        ConfigError: naming the argument.
    """
    for name, value in (("steps", steps), ("inner_steps", inner_steps)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} must be a whole number > 0, got {value!r}")
    if not 0 <= burn_in < 1:
        raise ConfigError(f"burn_in must be a fraction of the steps in [0, 1), got {burn_in}")
    if max_grad_norm is not None and not max_grad_norm > 0:
        raise ConfigError(f"max_grad_norm must be > 0 or None, got {max_grad_norm}")
    if world_size() > 1:
        raise ConfigError("learn_weights runs in one process, and torch.distributed has several here")


@contextmanager
def explained(what: str, batch: object) -> Iterator[None]:
    """Say whose computation it was that failed, and on what.

    Raises:
        ConfigError: for any error inside, and for torch's warning that two shapes are broadcast.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")
            yield
    except MolweightError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{what} failed on the first batch, {describe(batch)}: {type(error).__name__}: {error}"
        ) from error


def require_scalar(loss: object, what: str) -> Tensor:
    """The loss itself, once it is known to be a scalar.

    >>> require_scalar(torch.zeros(3), "objective 'mask'")
    Traceback (most recent call last):
    molweight.errors.ConfigError: objective 'mask' must return a scalar loss, got Tensor [3]: take its mean

    Raises:
        ConfigError: it is none.
    """
    if isinstance(loss, Tensor) and loss.shape == ():
        return loss
    hint = ": take its mean" if isinstance(loss, Tensor) else ""
    raise ConfigError(f"{what} must return a scalar loss, got {describe(loss)}{hint}")


def require_trainable(loss: Tensor, what: str, module: nn.Module, encoder: nn.Module, hint: str) -> set[int]:
    """Insist that a loss trains the encoder, and nothing outside a module.

    Args:
        loss: a scalar with its graph.
        what: used in messages.
        module: holds every parameter that the loss may train.
        encoder: a part of it.
        hint: where other parameters belong.

    Returns:
        The ``id`` of every parameter that the loss depends on.

    Raises:
        ConfigError: it depends on no parameter of the encoder, or on parameters that nothing would train.
        DivergedError: it is not finite.
    """
    if not bool(torch.isfinite(loss)):
        raise DivergedError(
            f"{what} is {loss.item()} on the first batch, before any update: check the loss and the data"
        )
    reached = leaves(loss)
    strangers = reached.keys() - {id(p) for p in module.parameters()}
    if strangers:
        shapes = ", ".join(str(list(reached[key].shape)) for key in strangers)
        raise ConfigError(f"{what} depends on parameters that nothing would train (shapes {shapes}): {hint}")
    if not reached.keys() & {id(p) for p in encoder.parameters()}:
        raise ConfigError(
            f"{what} depends on no trainable parameter of the encoder: call the encoder that it is given, "
            "without torch.no_grad() or detach()"
        )
    return set(reached)


def leaves(loss: Tensor) -> dict[int, Tensor]:
    """The tensors at the ends of a loss's graph, by ``id``."""
    reached: dict[int, Tensor] = {}
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached[id(node.variable)] = node.variable
        waiting += [below for below, _ in node.next_functions]
    return reached
