"""``python -m molweight predict``, ``embed`` and ``explain``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from molweight.cli.predict_options import STRICT, embed_parser, explain_parser, predict_parser
from molweight.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from molweight.inference.requests import Request

FILE_ENDINGS = (".csv", ".tsv", ".smi", ".smiles", ".txt", ".sdf", ".parquet", ".gz")
STATUSES = ("ok", "invalid", "unsupported")
Announce = Callable[[str], None]


def predict_command(arguments: Sequence[str], announce: Announce) -> int:
    """Predict; the exit code.

    Args:
        arguments: of the command line, after ``predict``.
        announce: called with lines for people, apart from the output.

    Raises:
        MolweightError: the user's input or machine.
        SystemExit: by argparse, for options that it does not know.
    """
    options = predict_parser().parse_intermixed_args(list(arguments))
    folders = [options.run_dir, *takewhile(is_folder, options.more)]
    source = chosen_source(options.more[len(folders) - 1 :], options.input)
    output = TableOutput.of(options, source)
    from molweight.distributed.devices import choose_device
    from molweight.inference.model import load_model
    from molweight.inference.prediction import Ensemble

    device = choose_device(options.device)
    models = [load_model(folder).to(device) for folder in folders]
    ensemble = Ensemble(models, options.confidence, similarity=options.similarity)
    tables = ensemble.tables(molecules(options, source, ensemble.smiles_columns), workers=options.workers)
    units = models[0].units
    about = {"model": ", ".join(folders), **({"units": units} if units else {})}
    return output.write(tables, ensemble.columns, about, announce)


def embed_command(arguments: Sequence[str], announce: Announce) -> int:
    """Embed; arguments and exit code as of :func:`predict_command`."""
    options = embed_parser().parse_intermixed_args(list(arguments))
    source = chosen_source(options.more, options.input)
    output = TableOutput.of(options, source)
    from molweight.distributed.devices import choose_device
    from molweight.inference.embedding import DTYPE, embedding_columns, embedding_model, embeddings

    model = embedding_model(options.run_dir, options.weights).to(choose_device(options.device))
    tables = embeddings(model, molecules(options, source, [model.smiles_column]), workers=options.workers)
    about = {"model": options.run_dir, "weights": options.weights}
    return output.write(tables, embedding_columns(model), about, announce, dtype=DTYPE)


def explain_command(arguments: Sequence[str], announce: Announce) -> int:
    """Explain; arguments and exit code as of :func:`predict_command`."""
    options = explain_parser().parse_intermixed_args(list(arguments))
    source = chosen_source(options.more, options.input)
    from molweight.distributed.devices import choose_device
    from molweight.inference.explanation import STEPS, explanations
    from molweight.inference.gallery import save_gallery
    from molweight.inference.model import load_model

    model = load_model(options.run_dir).to(choose_device(options.device))
    queries = molecules(options, source, [model.smiles_column])
    steps = STEPS if options.steps is None else options.steps
    explained = []
    with progress(source) as bar:
        for explanation in explanations(model, queries, targets=options.target, steps=steps):
            explained.append(explanation)
            bar.update()
    page = save_gallery(explained, Path(options.output), model=model)
    good = sum(explanation.status == "ok" for explanation in explained)
    announce(f"{good:,} explained, {len(explained) - good:,} not -> {page}")
    return 0


def molecules(
    options: argparse.Namespace, source: list[str] | str, preferred: Iterable[str | None]
) -> Iterator[Request]:
    """What is asked for; ``preferred`` are the columns that the models were trained on."""
    from molweight.inference.requests import requests

    column, kind = options.smiles_column, options.input_format
    return requests(source, smiles_column=column, kind=kind, preferred=preferred)


@dataclass(frozen=True, kw_only=True)
class TableOutput:
    """Where a table with a row for every molecule goes.

    Args:
        path: of the output; None prints.
        kind: its format.
        source: of the molecules.
        strict: whether a row without numbers has an exit code.
    """

    path: Path | None
    kind: str
    source: list[str] | str
    strict: bool

    @classmethod
    def of(cls, options: argparse.Namespace, source: list[str] | str) -> TableOutput:
        """What the command line says.

        Raises:
            ConfigError: it would overwrite the input, or names no format.
        """
        from molweight.inference.writers import output_format

        path = None if options.output in (None, "-") else Path(options.output)
        if path is not None and isinstance(source, str) and path.resolve() == Path(source).resolve():
            raise ConfigError(f"{path} is the input as well: give the output another name")
        return cls(path=path, kind=output_format(path, options.format), source=source, strict=options.strict)

    def write(
        self,
        tables: Iterable[pd.DataFrame],
        columns: Sequence[str],
        about: Mapping[str, str],
        announce: Announce,
        *,
        dtype: str = "float64",
    ) -> int:
        """Write tables, and say what was done; the exit code."""
        from molweight.inference.pipeline import empty_table
        from molweight.inference.writers import Output

        counts: Counter[str] = Counter()
        start = time.perf_counter()
        with (
            Output(self.path, kind=self.kind, empty=empty_table(columns, dtype), about=about) as output,
            progress(self.source) as bar,
        ):
            try:
                for table in tables:
                    output.write(table)
                    counts.update(table["status"])
                    bar.update(len(table))
            except KeyboardInterrupt:
                if output.left:
                    announce(f"{output.rows:,} rows are in {output.partial}")
                raise
        announce(summary(counts, time.perf_counter() - start, about.get("units"), self.path))
        return STRICT if self.strict and counts["ok"] < counts.total() else 0


def chosen_source(smiles: list[str], file: str | None) -> list[str] | str:
    """SMILES from the command line, or the file, or standard input if something is piped in.

    Raises:
        ConfigError: two of them, or none.
    """
    if smiles and file is not None:
        raise ConfigError(f"give SMILES or -i {file}, not both")
    if smiles:
        named = next((text for text in smiles if Path(text).suffix.lower() in FILE_ENDINGS), None)
        if named is not None:
            raise ConfigError(f"{named!r} is no SMILES but the name of a file: give it with -i {named}")
        if folder := next(filter(is_folder, smiles), None):
            raise ConfigError(
                f"{folder!r} is no SMILES but a folder: RUN_DIR stands before the molecules, and only "
                "predict takes more than one"
            )
        return smiles
    if file is None and sys.stdin.isatty():
        raise ConfigError("nothing to predict: give SMILES, -i FILE, or -i - for a pipe")
    return file or "-"


def is_folder(text: str) -> bool:
    """Whether it names a folder, or would name one inside a folder that exists, as no SMILES does."""
    path = Path(text)
    try:
        return path.is_dir() or (len(path.parts) > 1 and path.parent.is_dir())
    except OSError:  # longer than names of files may be
        return False


def progress(source: list[str] | str) -> tqdm[NoReturn]:
    """A bar on a terminal; its length is known for SMILES of the command line only."""
    total = len(source) if isinstance(source, list) else None
    return tqdm(total=total, unit="mol", disable=None, leave=False)


def summary(counts: Mapping[str, int], seconds: float, units: str | None, path: Path | None) -> str:
    """What was done, in a line."""
    total = sum(counts.values())
    kinds = ", ".join(f"{counts[name]:,} {name}" for name in STATUSES if counts.get(name))
    parts = f" ({kinds})" if counts.get("ok", 0) < total else ""
    scale = f", in {units}" if units else ""
    destination = f" -> {path}" if path is not None else ""
    rate = f"{total / seconds:,.0f} a second" if seconds > 0 else ""
    return f"{total:,} {'row' if total == 1 else 'rows'}{parts}{scale}: {seconds:.1f} s, {rate}{destination}"
