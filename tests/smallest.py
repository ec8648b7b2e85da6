"""What makes a whole run as small as it gets, some seconds; and a table of two yes/no targets."""

import pandas as pd

from molweight import load_config, run_experiment

SMALLEST = (
    *("experiment=smoke", "corpus.limit=200"),
    *("backbone.width=4", "backbone.image_size=32", "backbone.init=random"),
)


def save_labelled(path, name, *more):
    """Write 120 alkane chains with two yes/no targets, the second with gaps, and rows that are no molecule.

    Args:
        path: of a CSV file.
        name: of the first target: does the chain end in O or N?
        more: other inputs.
    """
    smiles = [f"{'C' * length}{end}" for length in range(1, 31) for end in ("O", "N", "F", "Cl")]
    frame = pd.DataFrame({"smiles": [*smiles, *more]})
    frame[name] = frame.smiles.str.endswith(("O", "N")).astype(int)
    frame["long"] = (frame.smiles.str.len() > 15).astype(float).where(frame.index % 3 > 0)
    frame.to_csv(path, index=False)


def run_labelled(folder, *options):
    """A finished run on :func:`save_labelled`'s table; a spreadsheet would run the name of a target."""
    save_labelled(folder / "mine.csv", "=polar")
    table = (f"dataset={folder / 'mine.csv'}", "split=random", "split.seed=0")
    return run_smallest(folder / "run", *table, *options)


def run_smallest(folder, *options):
    """A finished run of some seconds; its folder."""
    run_experiment(load_config(*SMALLEST, *options, f"run_dir={folder}"), command="run me", page=False)
    return folder
