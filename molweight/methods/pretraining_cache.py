"""Continued pretraining that never reads the task, kept for other runs that would repeat it.

Under equal, single, given or balanced weights level 1 sees the corpus and nothing else, so runs on different
data sets would make the same backbone again. Here it is made once; a run that takes it ends as if it had made
it, and its time counts as if it had.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from torch import nn

from molweight.distributed.collectives import world_size
from molweight.errors import DataError
from molweight.methods.base import RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.tapweight.balancing import Balance, Fixed
from molweight.training.setup import DataModule
from molweight.utils.files import sha256_file, write_json, write_text
from molweight.utils.machine import versions
from molweight.utils.tensor_files import load_tensors, save_tensors

logger = logging.getLogger(__name__)

SAME = ("backbone", "objectives", "views", "augment", "standardise", "tokens", "seed")
"""Parts of the configuration that decide the backbone, where a configuration has them."""


@dataclass(frozen=True, kw_only=True)
class CachedPretraining:
    """One entry of the cache, there or to come.

    Args:
        folder: of its ``backbone.safetensors``, ``steps.jsonl`` and ``pretraining.json``, the last written.
        made_from: everything that decides the backbone.
    """

    folder: Path
    made_from: dict[str, object]

    def load(self, backbone: nn.Module, directory: RunDirectory) -> bool:
        """Fill the backbone and the run's records from the entry; False where there is none.

        A damaged entry counts as none: the run makes it again.
        """
        try:
            note = json.loads((self.folder / "pretraining.json").read_text(encoding="utf-8"))
            whole = all(sha256_file(self.folder / name) == note["sha256"][name] for name in note["sha256"])
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            logger.warning("%s is damaged; its pretraining is done again", self.folder)
            return False
        load_tensors(backbone, self.folder / "backbone.safetensors")
        write_text(directory.steps, (self.folder / "steps.jsonl").read_text(encoding="utf-8"))
        logger.info("continued pretraining taken from %s", self.folder)
        return True

    def reserve(self) -> None:
        """Make the entry's folder, so that one that cannot be written is found before the work.

        Raises:
            DataError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"pretraining_cache: {self.folder} cannot be written ({error.strerror or error}); choose "
                "another folder, or null"
            ) from error

    def save(self, backbone: nn.Module, directory: RunDirectory) -> None:
        """Write the entry; several runs may do so at once, with the same content."""
        save_tensors(backbone, self.folder / "backbone.safetensors")
        write_text(self.folder / "steps.jsonl", directory.steps.read_text(encoding="utf-8"))
        sums = {name: sha256_file(self.folder / name) for name in ("backbone.safetensors", "steps.jsonl")}
        write_json(self.folder / "pretraining.json", {"sha256": sums, "made_from": self.made_from})


def cached_pretraining(
    setup: DataModule, config: RunConfig, balance: Balance, *, steps: int
) -> CachedPretraining | None:
    """The entry that a run would make or take, or None where it keeps none."""
    if config.pretraining_cache is None:
        return None
    if world_size() > 1:
        logger.info("pretraining_cache is for runs of one process: this one pretrains by itself")
        return None
    tree = yaml.safe_load(config.text)
    made_from = {
        **{name: tree[name] for name in SAME if name in tree},
        "weights": balance.weights.tolist() if isinstance(balance, Fixed) else str(config.method),
        "losses": list(setup.objectives),
        "corpus": setup.facts["corpus"]["sha256"],
        "backbone_sha256": setup.facts["backbone_sha256"],
        "batch_size": config.learn.batch_size.pretrain,
        "optimiser": asdict(config.learn.pretrain),
        **({} if config.precision == "float32" else {"precision": config.precision}),
        "steps": steps * config.learn.unroll.every,
        "records": steps,
        "device": setup.transfer.device.type,
        "versions": versions(),
    }
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return CachedPretraining(folder=config.pretraining_cache / digest[:16], made_from=made_from)
