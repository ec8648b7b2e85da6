"""Baselines that pretrain nothing."""

from __future__ import annotations

import torch

from molweight.methods.base import Final, Method, RunConfig
from molweight.training.setup import DataModule


class Direct(Method):
    """No pretraining here: the backbone is finetuned as it comes."""

    name = "direct"
    pretrains = False


class Scratch(Direct):
    """No pretraining at all: a random backbone is finetuned."""

    name = "scratch"
    ignores_weights = True


class FingerprintForest(Direct):
    """No network: Morgan fingerprints and a random forest."""

    name = "ecfp_rf"
    needs_network = False

    def finetune(self, setup: DataModule, config: RunConfig, *, progress: bool) -> Final:
        """A forest on the training part; the part ``meta`` joins it."""
        positions = torch.cat([setup.train.positions, setup.meta.positions])
        return Final(predict=setup.baselines[self.name](positions, config.seed))
