"""What every objective must do; a new YAML file in configs/objective is tested unasked."""

from __future__ import annotations

import copy

import pytest
import torch
from omegaconf import OmegaConf
from pictures import COUNT, attached, backbone, batch_of, component, model_of, molecules
from problems import Cycle, levels_of, lower_batches

from molweight.config.composition import config_dir
from molweight.errors import ConfigError
from molweight.models.task_model import PictureModel
from molweight.objectives.base import ObjectiveSet
from molweight.objectives.clusters import Clusters
from molweight.objectives.contrast import Contrast
from molweight.objectives.jigsaw import JigsawPuzzle
from molweight.objectives.reconstruction import Reconstruction, ReversedGradient
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.functional import stateless_call
from molweight.tapweight.hypergradient import Hypergradient
from molweight.tapweight.vectors import dot

FILES = sorted((config_dir() / "objective").glob("*.yaml"))


def made(file, **changes):
    """The objective of a YAML file, with a k that 32 molecules allow."""
    tree = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    values = {key: value for key, value in tree.items() if not str(value).startswith("${")}
    if "k" in values:
        values["k"] = 5
    return component(values | changes, file.stem)


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def objective(request):
    return made(request.param)


def test_there_is_a_file_for_each_of_the_five_tasks_and_a_control():
    tasks = {made(file).task for file in FILES}
    assert tasks == {"MG3C", "JPP", "MRD", "MCL", "MIR", "control"}


def test_loss_is_a_finite_positive_scalar(objective):
    model = model_of(objective)
    losses = model(batch_of(model.objectives))
    assert losses.shape == (1,)
    assert torch.isfinite(losses).all() and losses.item() > 0


def test_gradient_reaches_every_layer_of_the_backbone(objective):
    model = model_of(objective)
    model(batch_of(model.objectives)).sum().backward()
    silent = [n for n, p in model.backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    unused = [n for n, p in model.objectives.named_parameters() if p.grad is None]
    assert unused == []


def test_inputs_are_not_mutated(objective):
    model = model_of(objective)
    batch = batch_of(model.objectives)
    before = copy.deepcopy(batch)
    model(batch).sum().backward()
    torch.testing.assert_close(before, batch, rtol=0, atol=0)


def test_same_seed_same_targets_heads_views_and_loss(objective):
    twin = copy.deepcopy(objective)
    first, second = model_of(objective), model_of(twin)
    one, two = batch_of(first.objectives), batch_of(second.objectives)
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert torch.equal(first(one), second(two))
    views, other = one["views"], batch_of(first.objectives, seed=1)["views"]
    assert any(not torch.equal(views[name], other[name]) for name in views), "views ignore their generator"


def test_can_overfit_32_molecules(objective):
    torch.manual_seed(0)
    model = model_of(objective)
    batch = batch_of(model.objectives)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    start = model(batch).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(batch).sum()
        loss.backward()
        optimizer.step()
    model.train()
    assert model(batch).item() < 0.5 * start


def test_its_weight_receives_a_hypergradient(objective):
    """Beside a second objective, its directional derivative moves the logits, exactly and by difference."""
    other = JigsawPuzzle() if objective.name != "jigsaw" else Clusters(k=3)
    theta = model_of(objective, other)
    omega = PictureModel(theta.backbone, outputs=1, dropout=0.0, seed=1)

    def task_loss(outputs, batch):
        return (outputs.squeeze(1) - batch["y"]).square().mean()

    plain = batch_of(attached(Contrast()))["views"]["plain"]
    y = torch.tensor([float(len(s)) for s in molecules().smiles]) / 20
    labelled = {"pixels": plain, "y": y - y.mean()}
    levels = levels_of(
        theta,
        omega,
        (theta.backbone, omega.backbone),
        task_loss,
        (Cycle([batch_of(theta.objectives)]), Cycle([labelled]), Cycle([labelled])),
        names=theta.objectives.names,
        gamma=1e-2,
    )
    batches = lower_batches(levels)
    with torch.no_grad():  # away from the corner where both weights are equal
        levels.mixture.logits.copy_(torch.tensor([0.2, -0.1]))
    batch = batches["pretrain"]
    v = torch.autograd.grad(levels.weights.loss(levels.weights.next_batch()), levels.finetune.parameters)
    u = Hypergradient().vjp_level2(levels, batches["finetune"], v)
    point = tuple(p.detach() for p in theta.parameters())
    s = ForwardMode()(lambda p: stateless_call(theta, batch, p), point, u)
    gradients = torch.autograd.grad(
        stateless_call(theta, batch)[0], tuple(theta.parameters()), allow_unused=True
    )
    expected = dot(*zip(*[(g, d) for g, d in zip(gradients, u, strict=True) if g is not None], strict=True))
    assert s[0].abs() > 1e-6
    torch.testing.assert_close(s[0], expected, rtol=2e-3, atol=1e-5)
    assert levels.mixture.gradient(s)[0] != 0


def test_each_distinct_view_is_encoded_once():
    objectives = attached(Clusters(k=3), Clusters(k=5), JigsawPuzzle(), Contrast(), Reconstruction())
    calls = []
    encoder = backbone()
    encoder.register_forward_hook(lambda *_: calls.append(1))
    objectives.losses(encoder, batch_of(objectives))
    assert objectives.views == ("jigsaw", "plain", "masked")
    assert len(calls) == 3


def test_too_many_clusters_name_the_limit():
    with pytest.raises(ConfigError, match=r"7 clusters of 32 molecules.*at most 6"):
        attached(Clusters(k=7))
    attached(Clusters(k=6))


def test_clusters_follow_the_fingerprints():
    """Molecules with equal MACCS keys share a cluster; the labels are a function of the structure."""
    objectives = attached(Clusters(k=6))
    labels = objectives.targets(torch.arange(COUNT))["clusters_6"]
    keys = [tuple(row) for row in molecules().maccs()]
    by_key = {}
    for key, label in zip(keys, labels.tolist(), strict=True):
        assert by_key.setdefault(key, label) == label
    assert len(set(labels.tolist())) > 2


def test_names_must_differ_and_views_must_exist():
    with pytest.raises(ConfigError, match="names of the objectives must be distinct"):
        ObjectiveSet([Clusters(k=3), Clusters(k=3)])
    with pytest.raises(ConfigError, match=r"unknown view 'jigsw'.*'jigsaw'"):
        batch_of(ObjectiveSet([Clusters(k=3, view="jigsw")]))


def test_ntxent_is_low_only_when_each_finds_its_own_partner():
    contrast = Contrast(kind="ntxent", temperature=0.1)
    contrast.build(8, molecules(), 0)
    contrast.head = torch.nn.Identity()
    plain = torch.eye(8)
    apart = contrast.loss({"plain": plain, "masked": plain}, {})
    crossed = contrast.loss({"plain": plain, "masked": plain.roll(1, 0)}, {})
    collapsed = contrast.loss({"plain": torch.ones(8, 8), "masked": torch.ones(8, 8)}, {})
    expected = torch.log(torch.exp(torch.tensor(10.0)) + 14) - 10  # one partner at 1/0.1, 14 strangers at 0
    torch.testing.assert_close(apart, expected)
    torch.testing.assert_close(collapsed, torch.log(torch.tensor(15.0)))
    assert crossed > collapsed


def test_l2_contrast_in_closed_form():
    contrast = Contrast()
    contrast.build(2, molecules(), 0)
    plain, masked = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    torch.testing.assert_close(contrast.loss({"plain": plain, "masked": masked}, {}), torch.tensor(2.50005))


def test_adversarial_term_pulls_decoder_and_discriminator_apart():
    """Reversal: the decoder's gradient is minus that of the discriminator's loss, in both modes."""
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ReversedGradient.apply(x).square().sum(), x)
    torch.testing.assert_close(gradient, -2 * x)
    d = torch.randn(5, dtype=torch.float64)
    forward = ForwardMode()(lambda p: ReversedGradient.apply(p[0]).square().sum()[None], (x.detach(),), (d,))
    torch.testing.assert_close(forward, -(2 * x.detach() * d).sum()[None])
    honest = CentralDifference(radius=1e-5)(
        lambda p: ReversedGradient.apply(p[0]).square().sum()[None], (x.detach(),), (d,)
    )
    assert forward.sign() == -honest.sign()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Clusters(k=1), "k >= 2"),
        (lambda: Contrast(kind="cosine"), "'l2' or 'ntxent'"),
        (lambda: Contrast(temperature=0), "temperature > 0"),
        (lambda: Reconstruction(adversarial=-1), "adversarial >= 0"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
