"""The objectives of text: against transformers' own heads, in closed form, and as parts of level 1."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from omegaconf import OmegaConf
from texts import make_folder, sentences
from torch.nn import functional
from transformers import AutoConfig, BertForMaskedLM, RobertaForMaskedLM

from molweight.config.components import component
from molweight.config.composition import config_dir
from molweight.errors import ConfigError
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.objectives.base import TextObjectiveSet
from molweight.nlp.objectives.contrastive import Contrastive
from molweight.nlp.objectives.masked_language import MaskedLanguage
from molweight.nlp.objectives.sentence_order import SentenceOrder
from molweight.nlp.pretrained import EncoderConfig, load_encoder, locate
from molweight.nlp.tokens import IGNORED, encode_words, layout_of
from molweight.nlp.views import make_batch
from molweight.tapweight.directional import CentralDifference, ForwardMode
from molweight.tapweight.functional import stateless_call
from molweight.training.draws import Draws
from molweight.training.models import PretrainingModel

FILES = sorted((config_dir() / "nlp" / "objective").glob("*.yaml"))


def made(file):
    return component(OmegaConf.to_container(OmegaConf.load(file)), file.stem)


def recipe(name):
    return EncoderConfig(
        name=str(name), init="pretrained", pooling="first", freeze_embeddings=False, checkpointing=False
    )


@pytest.fixture(scope="module", params=["roberta", "deberta"])
def text(request, glue, tmp_path_factory):
    """Encoder, layout and words."""
    folder = make_folder(tmp_path_factory.mktemp(request.param), glue, request.param)
    encoder, tokenizer = load_encoder(recipe(folder), seed=0)
    return (
        encoder,
        layout_of(tokenizer, encoder),
        encode_words(tokenizer, sentences(glue), longest=20),
    )


def model_of(text, *objectives):
    encoder = copy.deepcopy(text[0]).train()
    chosen = TextObjectiveSet([copy.deepcopy(objective) for objective in objectives])
    chosen.build(encoder, seed=1)
    return PretrainingModel(encoder, chosen)


def batch_of(text, model, count=12, epoch=0):
    positions = torch.arange(count)
    _, layout, store = text
    return make_batch(model.objectives.views, store, layout, positions, Draws("t", epoch, samples=positions))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def objective(request):
    return made(request.param)


def test_there_are_three():
    assert {file.stem for file in FILES} == {"masked_language", "contrastive", "sentence_order"}
    assert [made(file).name for file in FILES] == [file.stem for file in FILES]


def test_loss_is_a_finite_positive_scalar_whose_gradient_reaches_everything(text, objective):
    model = model_of(text, objective)
    losses = model(batch_of(text, model))
    assert losses.shape == (1,) and torch.isfinite(losses).all() and losses.item() > 0
    losses.sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a key's bias moves all scores of a query alike; positions beyond the batch are not read
    assert [n for n in silent if not n.endswith("key.bias") and "key_proj.bias" not in n] == []


def test_inputs_are_not_mutated_and_the_random_state_decides(text, objective):
    model = model_of(text, objective)
    batch = batch_of(text, model)
    before = copy.deepcopy(batch)
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(model(batch).item())
    assert values[0] == values[1] != values[2], "dropout is the encoder's"
    torch.testing.assert_close(before, batch, rtol=0, atol=0)


def test_forward_mode_agrees_with_differences_of_all_losses(text):
    model = model_of(text, *map(made, FILES)).double()
    batch = batch_of(text, model)
    point = tuple(p.detach() for p in model.parameters() if p.requires_grad)
    generator = torch.Generator().manual_seed(3)
    direction = tuple(torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in point)

    def losses(parameters):
        return stateless_call(model, batch, parameters)

    exact = ForwardMode()(losses, point, direction)
    assert exact.shape == (3,) and (exact != 0).all()
    torch.testing.assert_close(
        exact, CentralDifference(radius=1e-4)(losses, point, direction), rtol=1e-5, atol=1e-8
    )


@pytest.mark.parametrize("kind", ["roberta", "minilm"])
def test_masked_words_cost_what_they_cost_with_the_head_of_transformers(kind, glue, tmp_path):
    if kind == "roberta":
        encoder, tokenizer = load_encoder(recipe(make_folder(tmp_path, glue)), seed=0)
        theirs = RobertaForMaskedLM(encoder.model.config)
        theirs.roberta, head = encoder.model, theirs.lm_head
        dense, norm, decoder = head.dense, head.layer_norm, head.decoder
    else:
        encoder, tokenizer = load_encoder(recipe("minilm"), seed=0)
        theirs = BertForMaskedLM(AutoConfig.from_pretrained(locate("minilm")))
        theirs.bert, head = encoder.model, theirs.cls.predictions
        dense, norm, decoder = head.transform.dense, head.transform.LayerNorm, head.decoder
    decoder.weight = encoder.model.get_input_embeddings().weight
    mine = MaskedLanguage()
    objectives = TextObjectiveSet([mine])
    objectives.build(encoder, seed=0)
    norm.eps = mine.transform[2].eps  # BERT's is 1e-12
    with torch.no_grad():
        dense.load_state_dict(mine.transform[0].state_dict())
        norm.load_state_dict(mine.transform[2].state_dict())
        mine.bias.normal_()
        decoder.bias.copy_(mine.bias)
    layout = layout_of(tokenizer, encoder)
    store = encode_words(tokenizer, sentences(glue), longest=20)
    positions = torch.arange(16)
    batch = make_batch(objectives.views, store, layout, positions, Draws("x", samples=positions))
    encoder.eval(), theirs.eval()
    with torch.no_grad():
        expected = theirs(
            input_ids=batch["masked_language"]["ids"],
            attention_mask=batch["masked_language"]["mask"],
            labels=batch["masked_language"]["labels"],
        ).loss
        torch.testing.assert_close(objectives.losses(encoder, batch)[0], expected, rtol=1e-4, atol=1e-5)


class Told(TextEncoder):
    """An encoder whose states are given; one row a sentence, in each pass the next."""

    def __init__(self, states):
        torch.nn.Module.__init__(self)
        self.dim, self.states = states[0].shape[-1], list(states)

    def forward(self, batch):
        return self.states.pop(0)[:, None, :]


def identity_head(objective, dim):
    """A head that only takes the hyperbolic tangent."""
    with torch.no_grad():
        objective.head[0].weight.copy_(torch.eye(dim))
        objective.head[0].bias.zero_()


def test_contrast_in_closed_form():
    """Orthogonal sentences: each finds itself at cosine 1, the others at 0."""
    states = torch.eye(4)
    encoder = Told([states, states])
    objective = Contrastive(temperature=0.5)
    objective.build(encoder)
    identity_head(objective, 4)
    loss = TextObjectiveSet([objective]).losses(encoder, {"contrastive": {"mask": torch.ones(4, 1)}})
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 3) - 2, rel=1e-5)


def test_sentence_order_in_closed_form_and_single_words_do_not_count():
    encoder = Told([torch.tensor([[9.0, -9.0], [-9.0, 9.0], [9.0, 9.0]])])
    objective = SentenceOrder()
    objective.build(encoder)
    identity_head(objective, 2)
    with torch.no_grad():
        objective.head[2].weight.copy_(torch.eye(2))
        objective.head[2].bias.zero_()
    labels = torch.tensor([0, 0, IGNORED])
    batch = {"sentence_order": {"mask": torch.ones(3, 1), "labels": labels}}
    expected = functional.cross_entropy(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), labels[:2])
    found = TextObjectiveSet([objective]).losses(encoder, batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_without_any_choice_costs_nothing(text):
    model = model_of(text, MaskedLanguage(), SentenceOrder())
    batch = dict(batch_of(text, model, count=2))
    for name in ("masked_language", "sentence_order"):
        batch[name]["labels"] = torch.full_like(batch[name]["labels"], IGNORED)
    losses = model(batch)
    assert losses.tolist() == [0, 0]
    losses.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaskedLanguage(share=0), "0 < share < 1"),
        (lambda: MaskedLanguage(hidden=0.9, replaced=0.2), r"hidden \+ replaced <= 1"),
        (lambda: Contrastive(temperature=0), "temperature must be > 0"),
        (lambda: TextObjectiveSet([Contrastive(), Contrastive()]), "must be distinct"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
