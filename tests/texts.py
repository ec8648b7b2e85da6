"""Small encoders of text with tokenizers that are trained here, as folders that transformers reads."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    DebertaV2Config,
    DebertaV2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

POSITIONS = 40
ROBERTA = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
DEBERTA = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}


@cache
def sentences(glue: Path) -> list[str]:
    """The sentences of CoLA's dev part."""
    with (glue / "CoLA" / "dev.tsv").open(encoding="utf-8") as file:
        return [row[3] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def make_tokenizer(glue: Path, kind: str) -> PreTrainedTokenizerFast:
    """Byte-pair encoding of 400 tokens; ``<s> a </s></s> b </s>``, or ``[CLS] a [SEP] b [SEP]``."""
    names = ROBERTA if kind == "roberta" else DEBERTA
    special = list(dict.fromkeys(names.values()))
    if kind == "roberta":  # as in its vocabulary: <s>, <pad>, </s>, …
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = Tokenizer(models.BPE(unk_token=names["unk_token"]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    made.train_from_iterator(sentences(glue), trainer)
    start, end = names["cls_token"], names["sep_token"]
    pair = f"{start} $A {end} {end} $B {end}" if kind == "roberta" else f"{start} $A {end} $B:1 {end}:1"
    made.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=pair,
        special_tokens=[(name, made.token_to_id(name)) for name in (start, end)],
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def make_sentencepiece(path: Path, glue: Path) -> None:
    """Replace a folder's tokenizer by what DeBERTa-v3 comes with: a SentencePiece model and nothing else."""
    import sentencepiece

    for file in path.glob("tokenizer*"):
        file.unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(glue)),
        model_prefix=str(path / "spm"),
        vocab_size=350,
        minloglevel=2,
        **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
        **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
    )
    (path / "spm.vocab").unlink()
    (path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')


def make_folder(path: Path, glue: Path, kind: str = "roberta") -> Path:
    """An encoder of two layers of 16 with its tokenizer; the same weights every time."""
    tokenizer = make_tokenizer(glue, kind)
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "roberta":
            # type_vocab_size 1 and positions that begin behind the pad's, as in roberta-base
            config = RobertaConfig(**common, max_position_embeddings=POSITIONS + 2, type_vocab_size=1)
            model = RobertaModel(config, add_pooling_layer=False)
        else:
            config = DebertaV2Config(
                **common,
                max_position_embeddings=POSITIONS,
                relative_attention=True,
                position_buckets=8,
                pos_att_type=["p2c", "c2p"],
                norm_rel_ebd="layer_norm",
                share_att_key=True,
                position_biased_input=False,
                type_vocab_size=0,
            )
            model = DebertaV2Model(config)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
