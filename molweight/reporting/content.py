"""What a run found: the content of ``report.json``."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from molweight.distributed.collectives import world_size
from molweight.distributed.devices import choose_device
from molweight.methods.base import Learned
from molweight.methods.configs import RunConfig
from molweight.reporting.markdown import label_of, markdown, number
from molweight.training.finetune import Finetuned
from molweight.training.metrics import Score, score_label
from molweight.training.setup import Setup
from molweight.utils.machine import processor, versions
from molweight.utils.pages import for_notebooks
from molweight.utils.terminal import columns

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run's result.

    Args:
        content: of ``report.json``.
    """

    content: dict[str, Any]

    @property
    def test(self) -> float:
        """The test score; ``content["score"]`` says what it is."""
        return float(self.content["test"])

    @property
    def weights(self) -> dict[str, float]:
        """The learned weights by objective."""
        return dict(self.content["weights"])

    def __repr__(self) -> str:
        """The scores and weights as a table; what else there is: :meth:`markdown`, :attr:`content`."""
        try:
            return "\n".join(columns(short_table(self.content), align="<>"))
        except (KeyError, TypeError, ValueError, AttributeError):  # of a file that is none of ours
            return f"Report of {len(self.content)} entries"

    def markdown(self) -> str:
        """The report as a page for people."""
        return markdown(self.content)

    def _repr_html_(self) -> str:
        """The same for notebooks, without the command."""
        return for_notebooks(self.markdown().partition("\n## Reproduce")[0])


def short_table(content: dict[str, Any]) -> list[tuple[str, str]]:
    """What was run, its scores, and the weights, largest first; each a row of two cells."""
    label = label_of(content)
    ranked = sorted(content["weights"].items(), key=lambda item: -item[1])
    return [
        ("data", str(content["dataset"])),
        ("method", str(content["method"])),
        (f"test {label}", number(content["test"])),
        (f"validation {label}", number(content["valid"])),
        *((f"weight of {name}", number(weight)) for name, weight in ranked),
    ]


def build_report(
    config: RunConfig,
    setup: Setup,
    learned: Learned,
    tuned: Finetuned | None,
    *,
    valid: Score,
    test: Score,
    seconds: dict[str, float],
    command: str,
) -> Report:
    """Collect what DESIGN calls the report; NaN becomes ``null`` when it is written."""
    facts = dict(setup.facts)
    scale = None if setup.task.scale is None else setup.task.scale.tolist()
    return Report(
        content={
            "schema": SCHEMA,
            "modality": config.modality,
            **{
                key: facts.pop(key)
                for key in ("dataset", "data_sha256", "n_rows", "n_invalid", "n_duplicates")
            },
            "task_type": setup.task.kind,
            "metric": setup.task.metric,
            "score": score_label(setup.task.metric, normalised=scale is not None),
            "method": str(config.method),
            "seed": config.seed,
            "protocol": config.protocol,
            "split": facts.pop("split"),
            "valid": valid.value,
            "test": test.value,
            "valid_per_task": valid.per_task,
            "test_per_task": test.per_task,
            "scale_per_task": scale and dict(zip(setup.task.names, scale, strict=True)),
            "test_undefined": len(test.undefined),
            "test_evaluations": setup.test.evaluations,
            "weights": learned.weights,
            "separation": learned.separation,
            "updates": updates(config),
            "engine": learned.engine,
            "hypergradient": config.hypergradient_name if config.method.learns else None,
            "finetune": None if tuned is None else finetuning(tuned),
            "parameters": 0 if tuned is None else count(setup.pretraining.backbone),
            "images": learned.images,
            "seconds": sum(seconds.values()),
            "seconds_by_stage": seconds,
            "seconds_reused": learned.seconds_reused,
            **facts,
            "versions": versions(),
            "machine": machine(config),
            "config_hash": config.hash,
            "command": command,
        }
    )


def machine(config: RunConfig) -> dict[str, Any]:
    """What besides the versions decides the last digits."""
    return {
        "device": str(choose_device(config.device)),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "processes": world_size(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def updates(config: RunConfig) -> int:
    """How often the weights were updated, or would have been by a method that learns them."""
    if not config.method.pretrains:
        return 0
    return config.learn.steps - (config.learn.burn_in_steps if config.method.learns else 0)


def count(module: nn.Module) -> int:
    """The number of its parameters."""
    return sum(p.numel() for p in module.parameters())


def finetuning(tuned: Finetuned) -> dict[str, Any]:
    """How the final training went."""
    return {
        "best_epoch": tuned.best_epoch,
        "epochs": len(tuned.history),
        "selected_by": tuned.selected_by,
        "constant_predictions": tuned.constant,
        "history": tuned.history,
    }
