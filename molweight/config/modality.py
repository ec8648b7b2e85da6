"""What the command line needs to know about one kind of samples: molecules, or text."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from molweight.config.composition import Tree
from molweight.config.schema import OptionValues
from molweight.errors import unknown
from molweight.methods.base import Method
from molweight.training.finetune import FinetuneConfig
from molweight.training.setup import SetupConfig

HOMES = {"molecules": "molweight.config.image_run", "text": "molweight.nlp.config"}
"""Where each ``MODALITY`` is; imported when asked for: one needs RDKit, the other transformers."""


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One kind of samples.

    Args:
        name: key of :data:`HOMES`.
        tree: of its configuration files.
        data: the option that names the data set.
        sections: of the configuration, besides those that every modality has.
        finetune: class of the section ``finetune``.
        smallest: the option that chooses the fewest objectives.
        samples: ``(configuration, method) -> recipe`` of the setup, everything in it checked.
    """

    name: str
    tree: Tree
    data: str
    sections: tuple[str, ...]
    finetune: type[FinetuneConfig]
    smallest: str
    samples: Callable[[OptionValues, Method], SetupConfig]


def find_modality(name: str) -> Modality:
    """The modality of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in HOMES:
        raise ValueError(unknown("modality", name, HOMES))
    modality: Modality = importlib.import_module(HOMES[name]).MODALITY
    return modality
