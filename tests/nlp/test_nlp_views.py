"""What is done to sentences before they are encoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from texts import make_folder, sentences

from molweight.nlp.pretrained import EncoderConfig, load_encoder
from molweight.nlp.tokens import IGNORED, encode_words, layout_of
from molweight.nlp.views import Clean, Masked, Ordered, make_batch
from molweight.training.draws import Draws

BERT = Masked(share=0.15, hidden=0.8, replaced=0.1)


@pytest.fixture(scope="module", params=["roberta", "deberta"])
def text(request, glue, tmp_path_factory):
    """A store of words of CoLA's sentences, and the layout."""
    folder = make_folder(tmp_path_factory.mktemp(request.param), glue, request.param)
    recipe = EncoderConfig(
        name=str(folder), init="pretrained", pooling="first", freeze_embeddings=False, checkpointing=False
    )
    encoder, tokenizer = load_encoder(recipe, seed=0)
    words = encode_words(tokenizer, sentences(glue), longest=30)
    return words, layout_of(tokenizer, encoder), tokenizer


def viewed(view, text, positions, key=("test",)):
    store, layout, _ = text
    return make_batch({"v": view}, store, layout, positions, Draws(*key, samples=positions))["v"]


def test_a_clean_sentence_is_what_the_tokenizer_makes_of_it(text, glue):
    batch = viewed(Clean(), text, torch.arange(20))
    theirs = text[2](sentences(glue)[:20], truncation=True, max_length=32, padding=True)
    assert batch["ids"].tolist() == theirs["input_ids"]
    assert batch["mask"].tolist() == theirs["attention_mask"]


def test_special_tokens_are_never_masked_and_the_shares_are_those_of_bert(text):
    store, layout, _ = text
    positions = torch.arange(len(store))
    clean, batch = viewed(Clean(), text, positions), viewed(BERT, text, positions)
    ids, labels, before = batch["ids"], batch["labels"], clean["ids"]
    special = torch.isin(before, layout.special)
    chosen = labels != IGNORED
    assert not (chosen & special).any() and not (ids[special] != before[special]).any()
    assert torch.equal(labels[chosen], before[chosen])
    assert torch.equal(ids[~chosen], before[~chosen])
    words, n = int((~special).sum()), int(chosen.sum())
    assert n > 1000

    def near(count, share, of):  # five standard deviations of a binomial
        return abs(count - share * of) < 5 * (share * (1 - share) * of) ** 0.5

    assert near(n, 0.15, words)
    assert near(int((ids[chosen] == layout.mask).sum()), 0.8, n)
    kept = int((ids[chosen] == before[chosen]).sum())
    assert near(kept, 0.1 + 0.1 / len(layout.words), n)
    others = ids[chosen & (ids != before) & (ids != layout.mask)]
    assert not torch.isin(others, layout.special).any() and len(others.unique()) > 20


def test_words_that_spell_a_special_token_are_not_masked(text):
    _, layout, tokenizer = text
    words = tokenizer(f"one {tokenizer.sep_token} two", add_special_tokens=False)["input_ids"]
    assert tokenizer.sep_token_id in words
    everything = Masked(share=0.999, hidden=1.0, replaced=0.0)
    batch = everything([np.array(words)], layout, Draws("x", samples=torch.tensor([0])))
    assert (batch["ids"] == tokenizer.sep_token_id).sum() == 2  # the one of the text, and the end


def test_a_sentence_is_masked_alike_in_any_batch(text):
    together = viewed(BERT, text, torch.tensor([3, 70, 5]))
    alone = viewed(BERT, text, torch.tensor([70]))
    length = int(alone["mask"].sum())
    for name in ("ids", "labels"):
        assert torch.equal(together[name][1, :length], alone[name][0, :length])
    again = viewed(BERT, text, torch.tensor([70]), key=("another epoch",))
    assert not torch.equal(again["labels"], alone["labels"])


def test_halves_are_exchanged_in_half_of_the_cases(text):
    store, layout, _ = text
    positions = torch.arange(400)
    batch = viewed(Ordered(), text, positions)
    kept = batch["labels"]
    assert 150 < int((kept == 1).sum()) < 250 and set(kept.unique().tolist()) <= {0, 1, IGNORED}
    for i, words in enumerate(store.sequences(positions)):
        row = batch["ids"][i][batch["mask"][i].bool()].tolist()
        halves = [words[: len(words) // 2].tolist(), words[len(words) // 2 :].tolist()]
        if len(words) < 2:
            assert kept[i] == IGNORED
            continue
        left, right = halves if kept[i] == 1 else halves[::-1]
        assert row == [*layout.before, *left, *layout.between, *right, *layout.after]
        if layout.typed:
            assert batch["types"][i].sum() == len(right) + len(layout.after)
