"""``method=bilevel``: wire a setup into two levels and step them."""

from __future__ import annotations

from molweight.methods.base import Learned, Method, RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.methods.steps import images_seen, lower_precision, make_stream, run_steps, trained
from molweight.methods.weight_significance import weight_significance
from molweight.tapweight.bilevel import Bilevel, JointLevel, JointModel, ZippedLoaders
from molweight.tapweight.levels import SharedTask, WeightLevel
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.training.setup import DataModule
from molweight.training.workers import Workers, choose_workers


class TwoLevels(Method):
    """Weights are learned on two levels: one model learns the objectives and the task, without a copy."""

    name = "bilevel"
    learns = True

    def pretrain(
        self, setup: DataModule, config: RunConfig, directory: RunDirectory, *, progress: bool
    ) -> Learned:
        """As many level-1 steps as with three levels; each takes a labelled batch too."""
        steps = config.learn.steps
        with Workers(choose_workers(config.workers, setup.transfer.device)) as workers:
            trainer = wire_two_levels(setup, config, workers)
            run_steps(trainer, config, directory, steps=steps, what="learn weights", progress=progress)
        mixture = trainer.joint.mixture
        return Learned(
            weights=mixture.named(mixture.weights()),
            separation=weight_significance(directory.records()),
            engine=trainer.engine,
            images=images_seen(setup, config, trainer.count),
        )


def wire_two_levels(setup: DataModule, config: RunConfig, workers: Workers | None = None) -> Bilevel:
    """The two levels over a setup's models and parts."""
    recipe = config.learn
    model = setup.make_model(setup.pretraining.backbone, config.seed)
    model.backbone = setup.pretraining.backbone  # shared, where three levels have a copy
    mixture = ObjectiveWeights(names=setup.objectives, update=recipe.update).to(setup.transfer.device)
    module = JointModel(setup.pretraining, model, setup.task.loss)
    joint = JointLevel(
        **trained(
            module,
            recipe.pretrain,
            steps=recipe.steps * recipe.unroll.every,
            backbone=setup.pretraining.backbone,
            precision=lower_precision(setup, config),
        ),
        batches=ZippedLoaders(
            make_stream(setup, config, workers, "pretrain"), make_stream(setup, config, workers, "finetune")
        ),
        mixture=mixture,
    )
    weights = WeightLevel(
        **trained(mixture, recipe.weights, steps=recipe.steps - recipe.burn_in_steps),
        batches=make_stream(setup, config, workers, "weights"),
        finetuning=SharedTask(model, setup.task.loss),
        accumulate=recipe.accumulate,
    )
    return Bilevel(
        joint,
        weights,
        config.hypergradient,
        every=recipe.unroll.every,
        averaging=recipe.averaging,
        burn_in=recipe.burn_in_steps,
    )
