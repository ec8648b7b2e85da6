"""``method=tapweight``: wire a setup into three levels and step them."""

from __future__ import annotations

import importlib.metadata

from molweight.errors import ConfigError
from molweight.methods.base import Learned, Method, RunConfig
from molweight.methods.run_directory import RunDirectory
from molweight.methods.steps import images_seen, lower_precision, make_stream, run_steps, trained
from molweight.methods.weight_significance import weight_significance
from molweight.tapweight.engines import make_solver
from molweight.tapweight.levels import Finetuning, Pretraining, ThreeLevels, WeightLevel, shared_parameters
from molweight.tapweight.objective_weights import ObjectiveWeights
from molweight.tapweight.solver import Solver
from molweight.training.setup import DataModule
from molweight.training.workers import Workers, choose_workers

# TapWeight, reweight_cls.sh and reweight_reg.sh ``--lam``
PUBLISHED_GAMMA = {"classification": 1e-3, "multiclass": 1e-3, "regression": 1e-2}


class TapWeight(Method):
    """Weights are learned on three levels, from the validation loss."""

    name = "tapweight"
    takes = "a hypergradient preset"
    learns = True

    def check(self, config: RunConfig) -> None:
        """``tapweight:<preset>`` insists on that hypergradient; the proximal term must tie levels 1 and 2."""
        if self.argument not in ("", config.hypergradient_name):
            raise ConfigError(
                f"method={self} asks for hypergradient={self.argument}, but "
                f"hypergradient={config.hypergradient_name} was chosen: leave one of the two out"
            )
        if not config.learn.proximal.build(1.0).ties:
            raise ConfigError(
                f"learn.proximal.kind={config.learn.proximal.kind} gives the weights no gradient: its mixed "
                "derivative is zero almost everywhere. Use l2 or smooth_l1, or method=equal"
            )

    def pretrain(
        self, setup: DataModule, config: RunConfig, directory: RunDirectory, *, progress: bool
    ) -> Learned:
        """Step the three levels; their level 1 is the backbone of ``setup.pretraining``."""
        recipe = config.learn
        with Workers(choose_workers(config.workers, setup.transfer.device)) as workers:
            levels = wire(setup, config, workers)
            solver = make_solver(
                config.solver,
                levels,
                config.hypergradient,
                unroll=recipe.unroll,
                averaging=recipe.averaging,
                burn_in=recipe.burn_in_steps,
                learn=len(setup.objectives) > 1,
            )
            run_steps(solver, config, directory, steps=recipe.steps, what="learn weights", progress=progress)
        return Learned(
            weights=levels.mixture.named(levels.mixture.weights()),
            separation=weight_significance(directory.records()),
            engine=engine_name(solver),
            images=images_seen(setup, config, solver.count),
        )


def wire(setup: DataModule, config: RunConfig, workers: Workers | None = None) -> ThreeLevels:
    """The three levels over a setup's models and parts; workers prepare their batches ahead of use."""
    recipe, seed = config.learn, config.seed
    model = setup.make_model(setup.pretraining.backbone, seed)
    shared, anchor = shared_parameters(model, model.backbone, setup.pretraining.backbone)
    proximal = recipe.proximal.build(PUBLISHED_GAMMA[setup.task.kind])
    names = [name for name, p in model.backbone.named_parameters() if p.requires_grad]
    mixture = ObjectiveWeights(names=setup.objectives, update=recipe.update).to(anchor[0].device)
    inner = recipe.steps * recipe.unroll.finetune

    pretrain = Pretraining(
        **trained(
            setup.pretraining,
            recipe.pretrain,
            steps=inner * recipe.unroll.pretrain,
            backbone=setup.pretraining.backbone,
            precision=lower_precision(setup, config),
        ),
        batches=make_stream(setup, config, workers, "pretrain"),
        mixture=mixture,
    )
    finetune = Finetuning(
        **trained(
            model,
            recipe.finetune,
            steps=inner,
            backbone=model.backbone,
            precision=lower_precision(setup, config),
        ),
        batches=make_stream(setup, config, workers, "finetune"),
        task_loss=setup.task.loss,
        proximal=proximal.of(names),
        shared=shared,
        anchor=anchor,
    )
    weights = WeightLevel(
        **trained(mixture, recipe.weights, steps=recipe.steps - recipe.burn_in_steps),
        batches=make_stream(setup, config, workers, "weights"),
        finetuning=finetune,
        accumulate=recipe.accumulate,
    )
    return ThreeLevels(pretrain=pretrain, finetune=finetune, weights=weights)


def engine_name(solver: Solver) -> str:
    """The engine and its version."""
    if solver.engine == "betty":
        return f"betty {importlib.metadata.version('betty-ml')}"
    return solver.engine
