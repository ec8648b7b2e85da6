"""The data module of text: read, split, tokenise, build the views, objectives and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from molweight.errors import ConfigError, option
from molweight.nlp.corpus import TextCorpus, TextCorpusSpec, load_text
from molweight.nlp.encoder import TextEncoder
from molweight.nlp.glue import read_task
from molweight.nlp.model import TextModel
from molweight.nlp.objectives.base import TextObjective, TextObjectiveSet
from molweight.nlp.parts import CarveConfig, carve
from molweight.nlp.pretrained import EncoderConfig, load_encoder, save_encoder, weights_sha256
from molweight.nlp.task import Sentences, TaskSpec
from molweight.nlp.tokens import encode_rows, encode_words, layout_of
from molweight.nlp.views import make_batch
from molweight.tapweight.typing import Batch
from molweight.training.draws import Draws
from molweight.training.label_task import LabelTask
from molweight.training.models import PretrainingModel
from molweight.training.setup import DataModule, Facts
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

    def require_reach(self, most: int, backbone: str) -> None:
        """Insist that an encoder can read sequences as long as these.

        Raises:
            ConfigError: they are longer than ``most`` tokens.
        """
        for name in ("longest", "unlabelled"):
            if (length := getattr(self, name)) > most:
                raise ConfigError(
                    f"{length} is longer than the {most} tokens that {option('backbone', backbone)} can read",
                    option=f"tokens.{name}",
                )


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """All choices that turn text into a data module."""

    task: TaskSpec
    corpus: TextCorpusSpec
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

    def check_sources(self, labelled: object, unlabelled: object) -> None:
        """Refuse labelled rows: a task of GLUE has its own.

        Raises:
            ConfigError: naming the way out.
        """
        if labelled is not None:
            hint = f"put TSV files into a folder and use {option('task.path')}"
            raise ConfigError("text takes no table", hint=hint)

    def prepare(
        self,
        *,
        run_dir: Path,
        device: torch.device,
        labelled: object = None,
        unlabelled: Sequence[str] | None = None,
        progress: bool = False,
    ) -> TextData:
        """See :class:`TextData`."""
        return TextData(self, run_dir=run_dir, device=device, unlabelled=unlabelled)


class TextData(DataModule):
    """A task of GLUE; writes ``splits.json``, and the folder ``encoder`` on export.

    Args:
        recipe: the choices.
        run_dir: where the files go.
        device: of models and batches.
        unlabelled: sentences to pretrain on instead of the corpus.

    Raises:
        ConfigError: sequences longer than the encoder's positions reach.
        DataError: files or weights are missing or malformed.
    """

    def __init__(
        self,
        recipe: TextConfig,
        *,
        run_dir: Path,
        device: torch.device,
        unlabelled: Sequence[str] | None = None,
    ) -> None:
        self.recipe = recipe
        self.encoder, self.tokenizer = load_encoder(recipe.encoder, seed=recipe.seed)
        recipe.tokens.require_reach(self.encoder.longest, recipe.encoder.name)
        known, tested, self.sha256 = read_task(recipe.task)
        self.rows = known + tested
        meta = recipe.meta_fraction if recipe.protocol == "strict" else None
        self.parts = carve(len(known), len(tested), recipe.split, meta=meta, seed=recipe.seed)
        self.layout = layout_of(self.tokenizer, self.encoder)
        self.store, self.shortened = encode_rows(
            self.tokenizer,
            self.rows.first,
            self.rows.second,
            layout=self.layout,
            longest=recipe.tokens.longest,
        )
        self.targets = torch.tensor(self.rows.targets, dtype=torch.float64)[:, None]
        task = make_task(recipe.task, self.targets[self.parts.train])
        check_target_names(task.names, (*FIXED, *SENTENCES))
        write_json(run_dir / "splits.json", {"kind": "glue", "positions": self.parts.named()})
        objectives = TextObjectiveSet(recipe.objectives)
        objectives.build(self.encoder, recipe.seed)
        self.views = objectives.views
        self.corpus = self.load_corpus(unlabelled) if objectives.names else None
        super().__init__(
            pretraining=PretrainingModel(self.encoder, objectives).to(device),
            task=task,
            unlabelled=torch.arange(0 if self.corpus is None else len(self.corpus.sentences)),
            parts=vars(self.parts),
            transfer=replace(NO_TRANSFER, device=device),
            evaluation_batch=EVALUATION_BATCH,
        )

    def load_corpus(self, given: Sequence[str] | None) -> TextCorpus:
        """The corpus; its words are kept for the views."""
        usable = sentences_of(self.rows, torch.cat([self.parts.train, self.parts.meta]))
        corpus = load_text(self.recipe.corpus, usable, given)
        longest = self.recipe.tokens.unlabelled - self.layout.most
        self.words = encode_words(self.tokenizer, corpus.sentences, longest=longest)
        return corpus

    def fetch_unlabelled(self, positions: Tensor, draws: Draws) -> Batch:
        """All views of sentences of the corpus."""
        return make_batch(self.views, self.words, self.layout, positions, draws)

    def fetch_plain(self, positions: Tensor, draws: Draws) -> Batch:
        """Tokens of rows, and their labels."""
        return {**self.store.batch(positions, self.layout.pad), "targets": self.targets[positions]}

    def make_model(self, backbone: nn.Module, seed: int) -> TextModel:
        """An encoder with a head for the task."""
        assert isinstance(backbone, TextEncoder)
        outputs, dropout = self.task.outputs, self.recipe.dropout
        return TextModel(backbone, outputs=outputs, dropout=dropout, seed=seed).to(self.transfer.device)

    def export(self, run_dir: Path) -> None:
        """Write the encoder as a model of transformers."""
        save_encoder(self.encoder, self.tokenizer, run_dir)

    @property
    def describe(self) -> Mapping[str, Sequence[object]]:
        """The line of a row in its file, and its sentences."""
        first, second = SENTENCES
        columns: dict[str, Sequence[object]] = {ROW: self.rows.rows, first: self.rows.first}
        return columns if self.rows.second is None else columns | {second: self.rows.second}

    @cached_property
    def facts(self) -> Facts:
        """What the report says about the data and the weights that a run began with."""
        rows, recipe = self.rows, self.recipe
        return {
            "dataset": recipe.task.name,
            "data_sha256": self.sha256,
            "n_rows": len(rows),
            "n_invalid": 0,
            "n_duplicates": len(rows) - len(set(zip(rows.first, rows.second or rows.first, strict=True))),
            "n_conflicting": None,
            "n_shortened": self.shortened,
            "units": None,
            "split": {
                "kind": "glue",
                "seed": recipe.split.seed,
                "hash": self.parts.hash(self.sha256),
                "sizes": self.parts.sizes(),
            },
            "corpus": corpus_facts(self.corpus, sentences_of(rows, self.parts.test)),
            "backbone": recipe.encoder.name,
            "backbone_init": recipe.encoder.init,
            "backbone_sha256": weights_sha256(recipe.encoder),
        }

    @property
    def summary(self) -> str:
        """One line on what was prepared."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.parts.sizes().items() if count)
        corpus, longest = self.corpus, self.recipe.tokens.longest
        return (
            f"{self.recipe.task.name}: {sizes} rows ({self.shortened} shortened to {longest} tokens), "
            f"{self.task.kind}; corpus {corpus.name if corpus else ''}: "
            + (f"{len(corpus.sentences)} sentences" if corpus else "none")
        )

    @property
    def model_metadata(self) -> dict[str, object]:
        """What ``model.json`` needs to use the finetuned model again, besides the task."""
        return {
            "backbone": self.recipe.encoder.name,
            "config": self.encoder.model.config.to_diff_dict(),
            "pooling": self.recipe.encoder.pooling,
            "dropout": self.recipe.dropout,
            "tokens": asdict(self.recipe.tokens),
        }


def make_task(spec: TaskSpec, train: Tensor) -> Task | LabelTask:
    """What the outputs mean, with the mean and spread of the training part's numbers, [n, 1]."""
    if spec.labels is not None:
        return LabelTask(metric=spec.metric, name="label", labels=tuple(spec.labels))
    return Task.fit(kind="regression", metric=spec.metric, names=(spec.label,), train=train)


def sentences_of(rows: Sentences, positions: Tensor) -> list[str]:
    """The sentences of some rows, both of a pair."""
    columns = [rows.first] if rows.second is None else [rows.first, rows.second]
    return [column[i] for column in columns for i in positions.tolist()]


def corpus_facts(corpus: TextCorpus | None, tests: Sequence[str]) -> dict[str, object]:
    """What the report says about the corpus."""
    if corpus is None:
        return {"name": "none", "sentences": 0, "sha256": None, "in_test": 0}
    return {
        "name": corpus.name,
        "sentences": len(corpus.sentences),
        "sha256": corpus.sha256,
        "in_test": len(set(tests) & set(corpus.sentences)),
    }
