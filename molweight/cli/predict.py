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
    places = Places.chosen(options, options.more[len(folders) - 1 :])
    from molweight.distributed.devices import choose_device
    from molweight.inference.model import load_model
    from molweight.inference.prediction import Ensemble

    device = choose_device(options.device)
    models = [load_model(folder).to(device) for folder in folders]
    ensemble = Ensemble(models, options.confidence, similarity=options.similarity)
    units = models[0].units
    return write(
        places,
        ensemble.tables(places.requests(ensemble.smiles_columns), workers=options.workers),
        ensemble.columns,
        {"model": ", ".join(folders), **({"units": units} if units else {})},
        announce,
        strict=options.strict,
    )


def embed_command(arguments: Sequence[str], announce: Announce) -> int:
    """Embed; arguments and exit code as of :func:`predict_command`."""
    options = embed_parser().parse_intermixed_args(list(arguments))
    places = Places.chosen(options, options.more)
    from molweight.distributed.devices import choose_device
    from molweight.inference.embedding import DTYPE, embedding_columns, embedding_model, embeddings

    model = embedding_model(options.run_dir, options.weights).to(choose_device(options.device))
    return write(
        places,
        embeddings(model, places.requests([model.smiles_column]), workers=options.workers),
        embedding_columns(model),
        {"model": options.run_dir, "weights": options.weights},
        announce,
        strict=options.strict,
        dtype=DTYPE,
    )


def explain_command(arguments: Sequence[str], announce: Announce) -> int:
    """Explain; arguments and exit code as of :func:`predict_command`."""
    options = explain_parser().parse_intermixed_args(list(arguments))
    source, folder = chosen_source(options.more, options.input), Path(options.output)
    from molweight.distributed.devices import choose_device
    from molweight.inference.explanation import STEPS, explanations
    from molweight.inference.gallery import save_gallery
    from molweight.inference.model import load_model
    from molweight.inference.requests import requests

    model = load_model(options.run_dir).to(choose_device(options.device))
    column, kind = options.smiles_column, options.input_format
    queries = requests(source, smiles_column=column, kind=kind, preferred=[model.smiles_column])
    steps = STEPS if options.steps is None else options.steps
    found = []
    with progress(source) as bar:
        for one in explanations(model, queries, targets=options.target, steps=steps):
            found.append(one)
            bar.update()
    page = save_gallery(found, folder, model=model)
    good = sum(one.status == "ok" for one in found)
    announce(f"{good:,} explained, {len(found) - good:,} not -> {page}")
    return 0


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where molecules come from, and where the table goes.

    Args:
        source: SMILES, or a file, or ``-``.
        column: of a table, with SMILES, or None.
        source_kind: format of the source, or None for what its name says.
        path: of the output; None prints.
        kind: format of the output.
    """

    source: list[str] | str
    column: str | None
    source_kind: str | None
    path: Path | None
    kind: str

    @classmethod
    def chosen(cls, options: argparse.Namespace, smiles: list[str]) -> Places:
        """What the command line says.

        Raises:
            ConfigError: it contradicts itself.
        """
        from molweight.inference.writers import output_format

        source = chosen_source(smiles, options.input)
        path = None if options.output in (None, "-") else Path(options.output)
        if path is not None and isinstance(source, str) and path.resolve() == Path(source).resolve():
            raise ConfigError(f"{path} is the input as well: give the output another name")
        return cls(
            source=source,
            column=options.smiles_column,
            source_kind=options.input_format,
            path=path,
            kind=output_format(path, options.format),
        )

    def requests(self, preferred: Iterable[str | None]) -> Iterator[Request]:
        """What is asked for; ``preferred`` are the columns that the models were trained on."""
        from molweight.inference.requests import requests

        return requests(self.source, smiles_column=self.column, kind=self.source_kind, preferred=preferred)


def write(
    places: Places,
    tables: Iterator[pd.DataFrame],
    columns: Sequence[str],
    about: Mapping[str, str],
    announce: Announce,
    *,
    strict: bool,
    dtype: str = "float64",
) -> int:
    """Write a table with a row for every molecule; the exit code."""
    from molweight.inference.pipeline import empty
    from molweight.inference.writers import Output

    counts: Counter[str] = Counter()
    start = time.perf_counter()
    with (
        Output(places.path, kind=places.kind, empty=empty(columns, dtype), about=about) as output,
        progress(places.source) as bar,
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
    announce(summary(counts, time.perf_counter() - start, about.get("units"), places.path))
    return STRICT if strict and counts["ok"] < counts.total() else 0


def chosen_source(smiles: list[str], file: str | None) -> list[str] | str:
    """SMILES from the command line, or the file, or standard input if something is piped in.

    Raises:
        ConfigError: two of them, or none.
    """
    if smiles and file is not None:
        raise ConfigError(f"give SMILES or -i {file}, not both")
    if smiles:
        named = next((one for one in smiles if Path(one).suffix.lower() in FILE_ENDINGS), None)
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
    place = f" -> {path}" if path is not None else ""
    rate = f"{total / seconds:,.0f} a second" if seconds > 0 else ""
    return f"{total:,} {'row' if total == 1 else 'rows'}{parts}{scale}: {seconds:.1f} s, {rate}{place}"
