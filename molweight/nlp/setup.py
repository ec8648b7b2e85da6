"""Text as a :class:`Setup`: read, split, tokenise, build the views, objectives and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError
from molweight.nlp.corpus import TextCorpus, TextCorpusCard, load_text
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.glue import read_task
from molweight.nlp.model import TextModel
from molweight.nlp.objectives.base import TextObjective, TextObjectiveSet
from molweight.nlp.parts import CarveConfig, Parts, carve
from molweight.nlp.pretrained import EncoderConfig, load_encoder, save_encoder, weights_sha256
from molweight.nlp.task import Sentences, TaskCard
from molweight.nlp.tokens import Layout, encode_rows, layout_of, stored, words_of
from molweight.nlp.views import make_batch
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.label_task import LabelTask
from molweight.training.models import PretrainingModel
from molweight.training.setup import EvalLoaders, Setup, nothing
from molweight.training.streams import Fetch
from molweight.training.task import Task
from molweight.training.workers import NO_TRANSFER
from molweight.utils.files import write_json
from molweight.utils.output_columns import FIXED, ROW, check_target_names

EVALUATION_BATCH = 64  # rows at a time without gradients
SENTENCES = ("sentence1", "sentence2")  # columns of predictions.csv
LEAST = 8  # tokens: room for the special ones and a word of each sentence


@dataclass(frozen=True, kw_only=True)
class TokenConfig:
    """How long sequences may be.

    Args:
        longest: most tokens of a labelled row, special ones included; the longer sentence of a pair is
            shortened first.
        unlabelled: most tokens of a corpus sentence, special ones included.
    """

    longest: int
    unlabelled: int

    def __post_init__(self) -> None:
        if min(self.longest, self.unlabelled) < LEAST:
            raise ConfigError(
                f"tokens.longest and tokens.unlabelled must be >= {LEAST}, got {self.longest} and "
                f"{self.unlabelled}"
            )


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """All choices that turn text into a setup."""

    task: TaskCard
    corpus: TextCorpusCard
    split: CarveConfig
    encoder: EncoderConfig
    tokens: TokenConfig
    objectives: Sequence[TextObjective]
    dropout: float
    protocol: Literal["paper", "strict"]
    meta_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """Of the task."""
        return self.task.name

    @property
    def split_kind(self) -> str:
        """How it is divided."""
        return "glue"

    def check_sources(self, labelled: Any, unlabelled: Any) -> None:
        """Refuse labelled rows: a task of GLUE has its own.

        Raises:
            ConfigError: naming the way out.
        """
        if labelled is not None:
            raise ConfigError("text takes no table: put TSV files into a folder and use task.path=")

    def prepare(
        self,
        *,
        run_dir: Path,
        device: torch.device,
        labelled: Any = None,
        unlabelled: Sequence[str] | None = None,
        progress: bool = False,
    ) -> Setup:
        """The setup; see :func:`text_setup`."""
        return text_setup(self, run_dir=run_dir, device=device, unlabelled=unlabelled)


def text_setup(
    recipe: TextConfig, *, run_dir: Path, device: torch.device, unlabelled: Sequence[str] | None = None
) -> Setup:
    """Prepare the data and the models; writes ``splits.json`` and the folder ``encoder``.

    Args:
        recipe: the choices.
        run_dir: where the files go.
        device: of models and batches.
        unlabelled: sentences to pretrain on instead of the corpus.

    Raises:
        ConfigError: sequences longer than the encoder's positions reach.
        DataError: files or weights are missing or malformed.
    """
    encoder, tokenizer = load_encoder(recipe.encoder, seed=recipe.seed)
    for name in ("longest", "unlabelled"):
        if (asked := getattr(recipe.tokens, name)) > encoder.longest:
            raise ConfigError(
                f"tokens.{name}={asked} is longer than the {encoder.longest} tokens that "
                f"backbone={recipe.encoder.name} can read"
            )
    known, tested, sha256 = read_task(recipe.task)
    rows = known + tested
    meta = recipe.meta_fraction if recipe.protocol == "strict" else None
    parts = carve(len(known), len(tested), recipe.split, meta=meta, seed=recipe.seed)
    layout = layout_of(tokenizer, encoder)
    store, cut = encode_rows(tokenizer, rows.first, rows.second, layout=layout, longest=recipe.tokens.longest)
    targets = torch.tensor(rows.targets, dtype=torch.float64)[:, None]
    task = make_task(recipe.task, targets[parts.train])
    check_target_names(task.names, (*FIXED, *SENTENCES))
    write_json(run_dir / "splits.json", {"kind": "glue", "positions": parts.named()})

    objectives = TextObjectiveSet(recipe.objectives)
    objectives.build(encoder, recipe.seed)
    corpus, fetch_unlabelled = unlabelled_part(recipe, objectives, rows, parts, tokenizer, layout, unlabelled)

    def fetch(positions: Tensor, draws: Draws) -> Batch:
        return {**store.batch(positions, layout.pad), "targets": targets[positions]}

    transfer = replace(NO_TRANSFER, device=device)

    passes = EvalLoaders(fetch=fetch, transfer=transfer, batch=EVALUATION_BATCH)

    def make_model(backbone: nn.Module, seed: int) -> TextModel:
        assert isinstance(backbone, TextEncoder)
        model = TextModel(backbone, outputs=task.outputs, dropout=recipe.dropout, seed=seed)
        return model.to(device)

    described = {ROW: rows.rows} | dict(zip(SENTENCES, (rows.first, rows.second), strict=True))
    tests = sentences_of(rows, parts.test)
    return Setup(
        objectives=objectives.names,
        pretraining=PretrainingModel(encoder, objectives).to(device),
        make_model=make_model,
        task=task,
        unlabelled=torch.arange(0 if corpus is None else len(corpus.sentences)),
        fetch_unlabelled=fetch_unlabelled,
        fetch_labelled=fetch,
        fetch_plain=fetch,
        transfer=transfer,
        train=passes.part(parts.train),
        meta=passes.part(parts.meta),
        valid=passes.part(parts.valid),
        test=passes.held_out(parts.test),
        describe={name: values for name, values in described.items() if values is not None},
        summary=summary(recipe, parts, task, corpus, cut),
        export=partial(save_encoder, encoder, tokenizer),
        facts={
            "dataset": recipe.task.name,
            "data_sha256": sha256,
            "n_rows": len(rows),
            "n_invalid": 0,
            "n_duplicates": len(rows) - len(set(zip(rows.first, rows.second or rows.first, strict=True))),
            "n_conflicting": None,
            "n_shortened": cut,
            "units": None,
            "split": {
                "kind": "glue",
                "seed": recipe.split.seed,
                "hash": parts.hash(sha256),
                "sizes": parts.sizes(),
            },
            "corpus": corpus_facts(corpus, tests),
            "backbone": recipe.encoder.name,
            "backbone_init": recipe.encoder.init,
            "backbone_sha256": weights_sha256(recipe.encoder),
        },
        model_card={
            "backbone": recipe.encoder.name,
            "config": encoder.model.config.to_diff_dict(),
            "pooling": recipe.encoder.pooling,
            "dropout": recipe.dropout,
            "tokens": asdict(recipe.tokens),
        },
    )


def make_task(card: TaskCard, train: Tensor) -> Task | LabelTask:
    """What the outputs mean, with the mean and spread of the training part's numbers, [n, 1]."""
    if card.labels is not None:
        return LabelTask(metric=card.metric, name="label", labels=tuple(card.labels))
    return Task.fit(kind="regression", metric=card.metric, names=(card.label,), train=train)


def unlabelled_part(
    recipe: TextConfig,
    objectives: TextObjectiveSet,
    rows: Sentences,
    parts: Parts,
    tokenizer: Any,
    layout: Layout,
    given: Sequence[str] | None,
) -> tuple[TextCorpus | None, Fetch]:
    """The corpus and batches of all views of its sentences; None where nothing is pretrained."""
    if not objectives.names:
        return None, nothing
    usable = sentences_of(rows, torch.cat([parts.train, parts.meta]))
    corpus = load_text(recipe.corpus, usable, given)
    room = recipe.tokens.unlabelled - layout.most
    words = stored([one[:room] for one in words_of(tokenizer, corpus.sentences)])
    views = objectives.views

    def fetch(positions: Tensor, draws: Draws) -> Batch:
        return make_batch(views, words, layout, positions, draws)

    return corpus, fetch


def sentences_of(rows: Sentences, positions: Tensor) -> list[str]:
    """The sentences of some rows, both of a pair."""
    found = [rows.first[i] for i in positions.tolist()]
    if rows.second is not None:
        found += [rows.second[i] for i in positions.tolist()]
    return found


def corpus_facts(corpus: TextCorpus | None, tests: Sequence[str]) -> dict[str, Any]:
    """What the report says about the corpus."""
    if corpus is None:
        return {"name": "none", "sentences": 0, "sha256": None, "in_test": 0}
    return {
        "name": corpus.name,
        "sentences": len(corpus.sentences),
        "sha256": corpus.sha256,
        "in_test": len(set(tests) & set(corpus.sentences)),
    }


def summary(
    recipe: TextConfig, parts: Parts, task: Task | LabelTask, corpus: TextCorpus | None, cut: int
) -> str:
    """One line on what was prepared."""
    sizes = ", ".join(f"{name} {count}" for name, count in parts.sizes().items() if count)
    what = f"{len(corpus.sentences)} sentences" if corpus else "none"
    return (
        f"{recipe.task.name}: {sizes} rows ({cut} shortened to {recipe.tokens.longest} tokens), {task.kind}; "
        f"corpus {corpus.name if corpus else ''}: {what}"
    )
