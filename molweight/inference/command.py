"""``python -m molweight predict``: its options, and what it says."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from molweight.errors import ConfigError

STATUSES = ("ok", "invalid", "unsupported")
STRICT = 3  # exit code of --strict where a row has no prediction
DESCRIPTION = """Predict with the model of a finished run, or with the mean of several.

Every row of the input is a row of the output, in its order: row, input, status (ok, invalid, unsupported),
reason, and a column for each target. A probability is calibrated by temperature scaling on the run's
validation part; <target>_uncalibrated is the network's own. Of several models <target>_std is the standard
deviation."""
EXAMPLES = """examples:
  python -m molweight predict runs/mine CCO 'c1ccccc1O'
  python -m molweight predict runs/mine -i molecules.csv --smiles-column SMILES -o predictions.csv
  python -m molweight predict runs/mine -i library.sdf.gz -o predictions.parquet
  python -m molweight predict results/runs/bbbp/tapweight/* -i new.smi -o ensemble.csv
  cut -f1 hits.tsv | python -m molweight predict runs/mine -i - --format jsonl
  python -m molweight predict runs/mine -i molecules.csv --strict -o predictions.csv && echo all good
"""


def parser() -> argparse.ArgumentParser:
    """The options."""
    command = argparse.ArgumentParser(
        prog="molweight predict",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "run_dir", metavar="RUN_DIR", help="folder of a finished run; several in a row are an ensemble"
    )
    command.add_argument("more", metavar="SMILES", nargs="*", help="molecules")
    command.add_argument(
        "-i", "--input", metavar="FILE", help=".csv, .tsv, .smi, .sdf, .parquet, also .gz; - is a pipe"
    )
    command.add_argument("-o", "--output", metavar="FILE", help=".csv, .jsonl, .parquet; default: print CSV")
    command.add_argument("--format", metavar="FORMAT", help="of the output: csv, jsonl, parquet")
    command.add_argument("--input-format", metavar="FORMAT", help="of the input: csv, tsv, smi, sdf, parquet")
    command.add_argument("--smiles-column", metavar="COLUMN", default="smiles", help="where the SMILES are")
    command.add_argument("--strict", action="store_true", help=f"exit with {STRICT} if a row is not ok")
    command.add_argument("--workers", metavar="N", type=int, help="processes that draw; default: one a core")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return command


def predict_command(arguments: Sequence[str], announce: Callable[[str], None]) -> int:
    """Predict; the exit code.

    Args:
        arguments: of the command line, after ``predict``.
        announce: called with lines for people, apart from the output.

    Raises:
        MolweightError: the user's input or machine.
        SystemExit: by argparse, for options that it does not know.
    """
    options = parser().parse_intermixed_args(list(arguments))
    folders = [options.run_dir, *takewhile(lambda one: Path(one).is_dir(), options.more)]
    smiles = options.more[len(folders) - 1 :]
    source = chosen_source(smiles, options.input)
    path = None if options.output in (None, "-") else Path(options.output)
    if path is not None and isinstance(source, str) and path.resolve() == Path(source).resolve():
        raise ConfigError(f"{path} is the input as well: give the output another name")
    from molweight.inference.model import load_model
    from molweight.inference.prediction import check_alike, empty, predictions
    from molweight.inference.requests import requests
    from molweight.inference.writers import Output, output_format
    from molweight.training.devices import choose_device

    kind = output_format(path, options.format)
    device = choose_device(options.device)
    models = [load_model(folder).to(device) for folder in folders]
    check_alike(models)
    asked = requests(source, smiles_column=options.smiles_column, kind=options.input_format)
    units = models[0].units
    about = {"model": ", ".join(folders), **({"units": units} if units else {})}
    counts: dict[str, int] = {}
    start = time.perf_counter()
    with Output(path, kind=kind, empty=empty(models), about=about) as output, progress(smiles) as bar:
        try:
            for table in predictions(models, asked, workers=options.workers):
                output.write(table)
                for status, count in table["status"].value_counts().items():
                    counts[str(status)] = counts.get(str(status), 0) + count
                bar.update(len(table))
        except KeyboardInterrupt:
            if output.partial is not None:
                announce(f"{output.rows:,} rows are in {output.partial}")
            raise
    announce(summary(counts, time.perf_counter() - start, units, path))
    good = counts.get("ok", 0)
    return STRICT if options.strict and good < sum(counts.values()) else 0


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


def progress(smiles: Sequence[str]) -> tqdm[NoReturn]:
    """A bar on a terminal; its length is known for SMILES of the command line only."""
    return tqdm(total=len(smiles) or None, desc="predict", unit="mol", disable=None, leave=False)


def summary(counts: Mapping[str, int], seconds: float, units: str | None, path: Path | None) -> str:
    """What was done, in a line."""
    total = sum(counts.values())
    kinds = ", ".join(f"{counts[name]:,} {name}" for name in STATUSES if counts.get(name))
    parts = f" ({kinds})" if counts.get("ok", 0) < total else ""
    scale = f", in {units}" if units else ""
    place = f" -> {path}" if path is not None else ""
    rate = f"{total / seconds:,.0f} a second" if seconds > 0 else ""
    return f"{total:,} rows{parts}{scale}: {seconds:.1f} s, {rate}{place}"
