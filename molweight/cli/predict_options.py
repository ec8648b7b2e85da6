"""The options of ``predict``, ``embed`` and ``explain``, and the help that they show."""

from __future__ import annotations

from molweight.cli.option_parser import Parser

STRICT = 3  # exit code of --strict where a row has no prediction
PREDICT = """Predict with the model of a finished run, or with the mean of several.

Every row of the input is a row of the output, in its order: row, input, status (ok, invalid, unsupported),
reason, and a column for each target. A probability is calibrated by temperature scaling on the run's
validation part; <target>_uncalibrated is the network's own. Of several models <target>_std is the standard
deviation. With --confidence a value has its interval, <target>_low to <target>_high, and a probability says
which classes the molecule may have, <target>_may_be_0 and <target>_may_be_1."""
PREDICT_EXAMPLES = """examples:
  python -m molweight predict runs/mine CCO 'c1ccccc1O'
  python -m molweight predict runs/mine -i molecules.csv --smiles-column SMILES -o predictions.csv
  python -m molweight predict runs/mine -i library.sdf.gz -o predictions.parquet
  python -m molweight predict results/runs/bbbp/tapweight/* -i new.smi -o ensemble.csv
  python -m molweight predict runs/mine -i new.csv --confidence 0.9 --similarity -o careful.csv
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
  python -m molweight embed runs/mine -i hits.sdf --strict -o hits.npz
  python -m molweight embed runs/mine -i table.tsv --smiles-column structure -o table.csv
  cut -f1 hits.tsv | python -m molweight embed runs/mine -i - --format jsonl
"""
EXPLAIN = """Show which atoms a prediction comes from.

Integrated gradients of the molecule's picture, from a blank one, shared out among the atoms: scores are in
the units of the prediction (logits for a classification) and add up to its difference from the blank
picture's. Writes a folder: explanations.html to look at, atoms.csv with a row for every atom, and a picture
for each molecule and target."""
EXPLAIN_EXAMPLES = """examples:
  python -m molweight explain runs/mine 'CC(=O)Oc1ccccc1C(=O)O'
  python -m molweight explain runs/tox21 -i hits.csv -o why --target NR-AhR --target SR-p53
  python -m molweight explain runs/mine CCO c1ccccc1O -o alcohols
  python -m molweight explain runs/mine -i hits.sdf --steps 1024
  python -m molweight explain runs/mine -i table.tsv --smiles-column structure
  head -20 library.smi | python -m molweight explain runs/mine -i - -o first
"""


def predict_parser() -> Parser:
    """The options of ``predict``."""
    command = table_parser("predict", PREDICT, PREDICT_EXAMPLES)
    command.add_argument(
        "--confidence", metavar="SHARE", type=float, help="add conformal intervals that hold this share: 0.9"
    )
    similarity = "add the Tanimoto similarity to the nearest training molecule"
    command.add_argument("--similarity", action="store_true", help=similarity)
    return command


def embed_parser() -> Parser:
    """The options of ``embed``."""
    command = table_parser("embed", EMBED, EMBED_EXAMPLES)
    weights = "finetuned, or adapted: as pretraining left them"
    command.add_argument("--weights", default="finetuned", metavar="WEIGHTS", help=weights)
    return command


def explain_parser() -> Parser:
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


def table_parser(name: str, description: str, examples: str) -> Parser:
    """The options of every command that takes molecules and writes a table."""
    command = molecule_parser(name, description, examples)
    command.add_argument(
        "-o", "--output", metavar="FILE", help=".csv, .jsonl, .parquet, .npz; default: print CSV"
    )
    command.add_argument("--strict", action="store_true", help=f"exit with {STRICT} if a row is not ok")
    command.add_argument("--format", metavar="FORMAT", help="of the output: csv, jsonl, parquet, npz")
    command.add_argument("--workers", metavar="N", type=int, help="processes that draw; default: one a core")
    return command


def molecule_parser(name: str, description: str, examples: str) -> Parser:
    """The options of every command that takes molecules."""
    command = Parser(prog=f"molweight {name}", description=description, epilog=examples)
    command.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run")
    command.add_argument("more", metavar="SMILES", nargs="*", help="molecules")
    command.add_argument(
        "-i", "--input", metavar="FILE", help=".csv, .tsv, .smi, .sdf, .parquet, also .gz; - is a pipe"
    )
    command.add_argument("--input-format", metavar="FORMAT", help="of the input: csv, tsv, smi, sdf, parquet")
    column = "where the SMILES are; default: as in training, else smiles, canonical_smiles or mol"
    command.add_argument("--smiles-column", metavar="COLUMN", help=column)
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return command
