"""Finetuning on a line: the best epoch is kept, patience ends it, divergence stops before the update."""

from __future__ import annotations

import io
import math
import re
from dataclasses import fields

import pytest
import torch
from torch import nn

from molweight.errors import ConfigError, DivergedError
from molweight.training.finetune import FinetuneConfig, evaluate, finetune
from molweight.training.optimisers import OptimiserConfig
from molweight.training.streams import Stream
from molweight.training.task import Task

SLOPE = torch.tensor([1.5, -2.0, 0.5])


class Linear(nn.Module):
    """Features [b, 3] to one output [b, 1], behind dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(3, 1))

    def forward(self, batch):
        return self.layers(batch["x"])


class Problem:
    """Labels that a line explains, cut into training and validation halves."""

    def __init__(self, kind="regression", n=64):
        self.x = torch.randn(n, 3, generator=torch.Generator().manual_seed(1))
        y = (self.x @ SLOPE)[:, None]
        self.y = (y > 0).float() if kind == "classification" else y
        self.task = Task.fit(kind=kind, metric=None, names=("y",), train=self.y[: n // 2])
        self.half = n // 2

    def train(self):
        def fetch(positions, generator):
            return {"x": self.x[positions], "targets": self.y[positions]}

        return Stream(fetch, torch.arange(self.half), batch_size=16, seed=3, name="train")

    def valid(self):
        for start in range(self.half, len(self.x), 10):
            chosen = slice(start, start + 10)
            yield {"x": self.x[chosen], "targets": self.y[chosen]}

    def run(self, module, *, valid=None, **options):
        return finetune(
            module, self.task, self.train(), valid or self.valid, recipe(**options), steps_per_epoch=2
        )


def recipe(epochs=15, patience=15, lr=0.1, clip=None, name="adam"):
    optimiser = OptimiserConfig(name=name, lr=lr, clip=clip)
    return FinetuneConfig(epochs=epochs, batch_size=16, patience=patience, optimiser=optimiser)


def score_of(module, problem):
    outputs, targets = evaluate(module, problem.valid())
    return problem.task.score(problem.task.predict(outputs), targets).value


@pytest.mark.parametrize(
    ("kind", "good"), [("regression", lambda v: v < 0.3), ("classification", lambda v: v > 0.97)]
)
def test_it_learns_a_line_and_reports_what_the_module_scores(kind, good):
    problem, module = Problem(kind), Linear()
    assert not good(score_of(module, problem))
    found = problem.run(module, epochs=30)
    assert good(found.valid)
    assert score_of(module, problem) == pytest.approx(found.valid, rel=1e-6)
    assert not found.constant and found.selected_by == "metric"


def away(problem, turn):
    """Validation labels that agree with training until an epoch, and contradict it from then on."""
    passes = []

    def valid():
        passes.append(1)
        sign = 1 if len(passes) <= turn else -1
        for batch in problem.valid():
            yield {**batch, "targets": sign * batch["targets"]}

    return valid


def test_the_best_epoch_is_restored_and_patience_ends_the_rest():
    problem, module, reference = Problem(), Linear(), Linear()
    found = problem.run(module, valid=away(problem, 4), patience=3)
    assert found.best_epoch == 4
    assert [entry["epoch"] for entry in found.history] == list(range(1, 8)), "three epochs of patience"
    problem.run(reference, epochs=4, patience=4)
    assert found.valid == found.history[3]["valid"]
    for a, b in zip(module.parameters(), reference.parameters(), strict=True):
        assert torch.equal(a, b), "the weights are those of epoch 4"


def test_an_improvement_resets_the_patience():
    problem = Problem()
    values = iter([5, 4, 6, 6, 3, 7, 7, 7, 7])  # RMSE by epoch

    class Scripted(Task):
        def score(self, predictions, targets):
            found = super().score(predictions, targets)
            return type(found)(metric="rmse", value=float(next(values)), per_task={})

    plain = problem.task
    problem.task = Scripted(kind=plain.kind, metric="rmse", names=plain.names, mean=plain.mean, std=plain.std)
    found = problem.run(Linear(), patience=3)
    assert (found.best_epoch, found.valid, len(found.history)) == (5, 3.0, 8)


def test_batchnorm_statistics_of_the_best_epoch_are_restored():
    problem = Problem()

    def normed():
        module = Linear()
        module.layers.insert(0, nn.BatchNorm1d(3))
        return module

    module, reference = normed(), normed()
    problem.run(module, valid=away(problem, 2), patience=3)
    problem.run(reference, epochs=2)
    for (name, a), b in zip(module.state_dict().items(), reference.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_loss_that_is_not_finite_stops_before_the_update():
    problem, module = Problem(), Linear()
    problem.x[: problem.half] = math.nan
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(DivergedError, match=r"loss is nan; lower finetune.optimiser.lr") as caught:
        problem.run(module)
    assert caught.value.exit_code == 4
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_outputs_that_overflow_are_a_divergence_too():
    problem = Problem()
    with pytest.raises(DivergedError, match=r"not finite|is (inf|nan)"):
        problem.run(Linear(), lr=1e38, name="sgd", epochs=3)


def test_clipping_bounds_the_first_step():
    problem, module = Problem(), Linear()
    before = nn.utils.parameters_to_vector(module.parameters()).detach().clone()
    finetune(
        module,
        problem.task,
        problem.train(),
        problem.valid,
        recipe(name="sgd", lr=1.0, clip=0.01, epochs=1),
        steps_per_epoch=1,
    )
    moved = nn.utils.parameters_to_vector(module.parameters()).detach() - before
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


class Watched(OptimiserConfig):
    """Notes what it is built for."""

    calls: list = []  # noqa: RUF012

    def build(self, parameters, *, steps, backbone=None):
        """As always."""
        self.calls.append((steps, backbone))
        return super().build(parameters, steps=steps, backbone=backbone)


def test_the_schedule_lasts_for_all_epochs_and_knows_the_backbone():
    problem, module = Problem(), Linear()
    module.backbone = module.layers[1]
    chosen = recipe(epochs=3)
    optimiser = Watched(**{f.name: getattr(chosen.optimiser, f.name) for f in fields(chosen.optimiser)})
    Watched.calls.clear()
    options = {"epochs": 3, "batch_size": 16, "patience": 15, "optimiser": optimiser}
    finetune(
        module, problem.task, problem.train(), problem.valid, FinetuneConfig(**options), steps_per_epoch=2
    )
    assert Watched.calls == [(6, module.backbone)]


def test_something_may_happen_before_every_step():
    problem, calls = Problem(), []
    finetune(
        Linear(),
        problem.task,
        problem.train(),
        problem.valid,
        recipe(epochs=3),
        steps_per_epoch=2,
        between=lambda: calls.append(1),
    )
    assert len(calls) == 6


class Screen(io.StringIO):
    """What tqdm takes for a terminal."""

    def isatty(self):
        """It is one."""
        return True


def watched(monkeypatch):
    """What tqdm writes from now on, without the thread that watches it."""
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    monkeypatch.setattr("sys.stderr", screen := Screen())
    return screen


@pytest.mark.parametrize("options", [{"progress": True}, {"progress": False}, {}])
def test_a_bar_says_where_it_is(options, monkeypatch):
    problem, screen = Problem(), watched(monkeypatch)
    found = finetune(
        Linear(), problem.task, problem.train(), problem.valid, recipe(epochs=2), steps_per_epoch=1, **options
    )
    last = screen.getvalue().split("\r")[-1]
    if not options.get("progress"):
        assert last == ""
        return
    assert last.startswith("finetune: 100%") and re.search(r" 2/2 \[.*(\depoch/s|s/epoch), ", last)
    entry = found.history[-1]
    assert f"train loss {entry['train_loss']:.3f}, valid RMSE {entry['valid']:.3f}" in last


def test_a_bar_says_that_scores_of_several_targets_are_normalised(monkeypatch):
    class TwoTargets(nn.Linear):
        def forward(self, batch):
            return super().forward(batch["x"])

    y = torch.tensor([[-1.0, -1e4], [0.0, 0.0], [1.0, 1e4]], dtype=torch.float64)
    batch, screen = {"x": torch.eye(3), "targets": y}, watched(monkeypatch)
    task = Task.fit(kind="regression", metric=None, names=("small", "large"), train=y)
    stream = Stream(lambda positions, draws: batch, torch.arange(3), batch_size=3, seed=0, name="train")
    options = {"steps_per_epoch": 1, "progress": True}
    finetune(TwoTargets(3, 2), task, stream, lambda: iter([batch]), recipe(epochs=1), **options)
    assert "valid mean of normalised RMSE" in screen.getvalue()


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_constant_predictions_are_said_aloud(kind, caplog):
    problem, module = Problem(kind), Linear()
    problem.x[:] = 0.0
    found = problem.run(module, epochs=2)
    assert found.constant
    assert caplog.messages == [
        "the model predicts the same value for every validation sample: it learned nothing; "
        "raise finetune.optimiser.lr or finetune.epochs"
    ]


def test_one_class_in_validation_selects_by_loss_with_a_warning(caplog):
    problem, module = Problem("classification"), Linear()
    problem.y[problem.half :] = 1.0
    found = problem.run(module, epochs=8, patience=8)
    losses = [entry["valid_loss"] for entry in found.history]
    assert found.selected_by == "loss" and math.isnan(found.valid)
    assert found.best_epoch == 1 + losses.index(min(losses))
    assert caplog.messages == [
        "roc_auc is undefined on the validation part (one class only): the model was selected by its "
        "validation loss; another split may serve better"
    ]
    outputs, targets = evaluate(module, problem.valid())
    assert problem.task.loss(outputs, {"targets": targets}).item() == pytest.approx(min(losses), rel=1e-6)


def test_a_good_run_says_nothing(caplog):
    Problem().run(Linear(), epochs=3)
    assert caplog.text == ""


def test_equal_seeds_give_equal_weights_and_others_do_not():
    def trained(seed):
        problem, module = Problem(), Linear(dropout=0.5)
        torch.manual_seed(seed)
        history = problem.run(module, epochs=4).history
        return nn.utils.parameters_to_vector(module.parameters()).detach(), history

    (a, first), (b, second), (c, _) = trained(5), trained(5), trained(6)
    assert torch.equal(a, b) and first == second
    assert not torch.equal(a, c)


def test_evaluation_is_without_dropout_in_order_and_without_gradients():
    problem, module = Problem(), Linear(dropout=0.9)
    outputs, targets = evaluate(module, problem.valid())
    assert torch.equal(outputs, evaluate(module, problem.valid())[0]) and not outputs.requires_grad
    assert torch.equal(targets, problem.y[problem.half :])


@pytest.mark.parametrize("option", ["epochs", "patience", "batch_size"])
def test_a_recipe_needs_at_least_one(option):
    options = {"epochs": 1, "batch_size": 1, "patience": 1}
    FinetuneConfig(**options, optimiser=recipe().optimiser)
    with pytest.raises(ConfigError, match="must be >= 1"):
        FinetuneConfig(**options | {option: 0}, optimiser=recipe().optimiser)


def test_an_epoch_records_the_mean_of_its_losses():
    problem, module = Problem(), Linear()
    (entry,) = problem.run(module, epochs=1, name="sgd", lr=1e-12).history
    assert set(entry) == {"epoch", "train_loss", "valid_loss", "valid"}
    with torch.no_grad():
        whole = {"x": problem.x[: problem.half], "targets": problem.y[: problem.half]}
        loss = problem.task.loss(module(whole), whole).item()
    assert entry["train_loss"] == pytest.approx(loss, rel=1e-5), "two batches that hold the part once"


def test_of_equal_losses_the_first_epoch_is_kept():
    problem = Problem("classification")
    problem.y[problem.half :] = 1.0  # one class: the loss decides
    found = problem.run(Linear(), epochs=3, name="sgd", lr=1e-30)
    assert len({entry["valid_loss"] for entry in found.history}) == 1 and found.best_epoch == 1


def test_outputs_that_are_not_finite_in_validation_are_a_divergence():
    problem = Problem()
    problem.x[problem.half + 3] = math.inf
    with pytest.raises(DivergedError, match="outputs are not finite"):
        problem.run(Linear())


def test_one_molecule_shows_no_spread():
    task = Problem().task
    assert not task.constant(torch.tensor([[0.3]]))
    assert task.constant(torch.tensor([[0.3], [0.3]]))


def test_no_target_decides_alone_which_epoch_is_the_best():
    """Both epochs are scripted: the second is far better on `small`, a little worse on `large`."""
    train = torch.tensor([[-1.0, -1e4], [0.0, 0.0], [1.0, 1e4]], dtype=torch.float64)
    task = Task.fit(kind="regression", metric=None, names=("small", "large"), train=train)
    epochs = iter([train / train[2] + torch.tensor([0.9, 0.1]), train / train[2] + torch.tensor([0.1, 0.2])])

    class Scripted(nn.Linear):
        def forward(self, batch):
            return super().forward(batch["x"]) if self.training else next(epochs)

    def fetch(positions, draws):
        return {"x": torch.ones(len(positions), 1), "targets": train[positions]}

    stream = Stream(fetch, torch.arange(3), batch_size=3, seed=0, name="train")
    found = finetune(
        Scripted(1, 2), task, stream, lambda: iter([{"targets": train}]), recipe(epochs=2), steps_per_epoch=1
    )
    assert [entry["valid"] for entry in found.history] == pytest.approx([0.5, 0.15])
    assert found.best_epoch == 2
