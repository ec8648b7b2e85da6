"""``python -m molweight predict``, ``embed`` and ``explain``: their options, and what they say."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from molweight.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from molweight.inference.requests import Request

STATUSES = ("ok", "invalid", "unsupported")
STRICT = 3  # exit code of --strict where a row has no prediction
PREDICT = """Predict with the model of a finished run, or with the mean of several.

Every row of the input is a row of the output, in its order: row, input, status (ok, invalid, unsupported),
reason, and a column for each target. A probability is calibrated by temperature scaling on the run's
validation part; <target>_uncalibrated is the network's own. Of several models <target>_std is the standard
deviation."""
PREDICT_EXAMPLES = """examples:
  python -m molweight predict runs/mine CCO 'c1ccccc1O'
  python -m molweight predict runs/mine -i molecules.csv --smiles-column SMILES -o predictions.csv
  python -m molweight predict runs/mine -i library.sdf.gz -o predictions.parquet
  python -m molweight predict results/runs/bbbp/tapweight/* -i new.smi -o ensemble.csv
  cut -f1 hits.tsv | python -m molweight predict runs/mine -i - --format jsonl
  python -m molweight predict runs/mine -i molecules.csv --strict -o predictions.csv && echo all good
"""

EMBED = """Write the embeddings of a finished run's backbone.

Every row of the input is a row of the output, in its order: row, input, status (ok, invalid, unsupported),
reason, and e0, e1, …; in .npz the numbers are one array, values."""
EMBED_EXAMPLES = """examples:
  python -m molweight embed runs/mine CCO 'c1ccccc1O'
  python -m molweight embed runs/mine -i library.smi.gz -o library.npz
  python -m molweight embed runs/mine -i library.csv -o library.parquet --weights adapted
"""
EXPLAIN = """Show which atoms a prediction comes from.

Integrated gradients of the molecule's picture, from a blank one, shared out among the atoms: scores are in
the units of the prediction (logits for a classification) and add up to its difference from the blank
picture's. Writes a folder: explanations.html to look at, atoms.csv with a row for every atom, and a picture
for each molecule and target."""
EXPLAIN_EXAMPLES = """examples:
  python -m molweight explain runs/mine 'CC(=O)Oc1ccccc1C(=O)O'
  python -m molweight explain runs/tox21 -i hits.csv -o why --target NR-AhR --target SR-p53
"""
Announce = Callable[[str], None]


def predict_parser() -> argparse.ArgumentParser:
    """The options of ``predict``."""
    command = shared_parser("predict", PREDICT, PREDICT_EXAMPLES)
    command.add_argument("--strict", action="store_true", help=f"exit with {STRICT} if a row is not ok")
    return command


def embed_parser() -> argparse.ArgumentParser:
    """The options of ``embed``."""
    command = shared_parser("embed", EMBED, EMBED_EXAMPLES)
    command.add_argument("--strict", action="store_true", help=f"exit with {STRICT} if a row is not ok")
    command.add_argument(
        "--weights",
        default="finetuned",
        metavar="WEIGHTS",
        help="finetuned, or adapted: as pretraining left them",
    )
    return command


def explain_parser() -> argparse.ArgumentParser:
    """The options of ``explain``."""
    command = molecule_parser("explain", EXPLAIN, EXPLAIN_EXAMPLES)
    command.add_argument(
        "-o", "--output", metavar="FOLDER", default="explanations", help="default: explanations"
    )
    command.add_argument(
        "--target", metavar="NAME", action="append", help="again for more; default: the first"
    )
    command.add_argument("--steps", metavar="N", type=int, help="from the blank picture; more are more exact")
    return command


def shared_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The options of every command that takes molecules and writes a table."""
    command = molecule_parser(name, description, examples)
    command.add_argument(
        "-o", "--output", metavar="FILE", help=".csv, .jsonl, .parquet, .npz; default: print CSV"
    )
    command.add_argument("--format", metavar="FORMAT", help="of the output: csv, jsonl, parquet, npz")
    command.add_argument("--workers", metavar="N", type=int, help="processes that draw; default: one a core")
    return command


def molecule_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The options of every command that takes molecules."""
    command = argparse.ArgumentParser(
        prog=f"molweight {name}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run")
    command.add_argument("more", metavar="SMILES", nargs="*", help="molecules")
    command.add_argument(
        "-i", "--input", metavar="FILE", help=".csv, .tsv, .smi, .sdf, .parquet, also .gz; - is a pipe"
    )
    command.add_argument("--input-format", metavar="FORMAT", help="of the input: csv, tsv, smi, sdf, parquet")
    command.add_argument("--smiles-column", metavar="COLUMN", default="smiles", help="where the SMILES are")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return command


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
    folders = [options.run_dir, *takewhile(lambda one: Path(one).is_dir(), options.more)]
    places = Places.chosen(options, options.more[len(folders) - 1 :])
    from molweight.inference.model import load_model
    from molweight.inference.prediction import check_alike, predictions, value_columns
    from molweight.training.devices import choose_device

    device = choose_device(options.device)
    models = [load_model(folder).to(device) for folder in folders]
    check_alike(models)
    units = models[0].units
    return write(
        places,
        lambda asked: predictions(models, asked, workers=options.workers),
        value_columns(models),
        {"model": ", ".join(folders), **({"units": units} if units else {})},
        announce,
        strict=options.strict,
    )


def embed_command(arguments: Sequence[str], announce: Announce) -> int:
    """Embed; arguments and exit code as of :func:`predict_command`."""
    options = embed_parser().parse_intermixed_args(list(arguments))
    places = Places.chosen(options, options.more)
    from molweight.inference.embedding import embedding_columns, embedding_model, embeddings
    from molweight.training.devices import choose_device

    model = embedding_model(options.run_dir, options.weights).to(choose_device(options.device))
    return write(
        places,
        lambda asked: embeddings(model, asked, workers=options.workers),
        embedding_columns(model),
        {"model": options.run_dir, "weights": options.weights},
        announce,
        strict=options.strict,
    )


def explain_command(arguments: Sequence[str], announce: Announce) -> int:
    """Explain; arguments and exit code as of :func:`predict_command`."""
    options = explain_parser().parse_intermixed_args(list(arguments))
    source, folder = chosen_source(options.more, options.input), Path(options.output)
    from molweight.inference.explanation import STEPS, explanations
    from molweight.inference.gallery import save_gallery
    from molweight.inference.model import load_model
    from molweight.inference.requests import requests
    from molweight.training.devices import choose_device

    model = load_model(options.run_dir).to(choose_device(options.device))
    asked = requests(source, smiles_column=options.smiles_column, kind=options.input_format)
    steps = STEPS if options.steps is None else options.steps
    found = []
    with progress(source) as bar:
        for one in explanations(model, asked, targets=options.target, steps=steps):
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
        column: of a table, with SMILES.
        source_kind: format of the source, or None for what its name says.
        path: of the output; None prints.
        kind: format of the output.
    """

    source: list[str] | str
    column: str
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


def write(
    places: Places,
    tables: Callable[[Iterator[Request]], Iterator[pd.DataFrame]],
    columns: Sequence[str],
    about: Mapping[str, str],
    announce: Announce,
    *,
    strict: bool,
) -> int:
    """Write a table with a row for every molecule; the exit code."""
    from molweight.inference.pipeline import empty
    from molweight.inference.requests import requests
    from molweight.inference.writers import Output

    asked = requests(places.source, smiles_column=places.column, kind=places.source_kind)
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    with (
        Output(places.path, kind=places.kind, empty=empty(columns), about=about) as output,
        progress(places.source) as bar,
    ):
        try:
            for table in tables(asked):
                output.write(table)
                counts.update(table["status"])
                bar.update(len(table))
        except KeyboardInterrupt:
            if output.partial is not None:
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
        return smiles
    if file is None and sys.stdin.isatty():
        raise ConfigError("nothing to predict: give SMILES, -i FILE, or -i - for a pipe")
    return file or "-"


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
    return f"{total:,} rows{parts}{scale}: {seconds:.1f} s, {rate}{place}"
