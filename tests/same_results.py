"""Do small runs still give the same bits as in an earlier revision?

    python tests/same_results.py REVISION [RUN …]

checks the revision out into a temporary folder, makes the runs below with its code and with the code of this
tree, on this machine, and compares steps, weights, predictions and scores. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    *("experiment=smoke", "corpus.limit=200", "threads=1"),
    *("backbone.width=4", "backbone.image_size=32", "backbone.init=random"),
)
THREE_LEVELS = ("learn.steps=6", "learn.checkpoint_every=2", "finetune.epochs=2")
METHODS = (
    *("bilevel", "equal", "uncertainty", "dwa", "gradnorm", "mgda", "pcgrad", "upgrad"),
    *("direct", "scratch", "ecfp_rf"),
)
MOLECULES = {
    "tapweight": (),
    "tapweight-betty": ("solver=betty",),
    "paper": ("method=tapweight:paper",),
    "accurate": ("hypergradient=accurate", "learn.accumulate=2"),
    "strict": ("protocol=strict", "learn.unroll.every=2", "learn.update=exponentiated"),
    "other-objectives": ("objectives=tapt_min", "learn.proximal.kind=smooth_l1"),
    "interrupted": (),
    **{
        name: (f"method={name}",)
        for name in [
            "bilevel",
            "equal",
            "uncertainty",
            "dwa",
            "gradnorm",
            "mgda",
            "pcgrad",
            "upgrad",
            "direct",
            "scratch",
            "ecfp_rf",
        ]
    },
    "single": ("method=single:jigsaw",),
    "random_search": ("method=random_search", "search.trials=2"),
}
RUNS = (*MOLECULES, "two-processes", "text", "text-betty")
FILES = ("steps.jsonl", "model.safetensors", "backbone.safetensors", "predictions.csv", "splits.json")
TIMES = {"seconds"}


def table(folder: Path) -> Path:
    """Alkane chains with a number that follows from their length and end."""
    path = folder / "chains.csv"
    rows = [(n, end) for n in range(1, 16) for end in ("O", "N", "F", "Cl")]
    lines = [f"{'C' * n}{end},{n / 10 + len(end)}" for n, end in rows]
    path.write_text("\n".join(["smiles,y", *lines]) + "\n")
    return path


def make(folder: Path, names: list[str]) -> None:
    """Make runs with whatever code Python finds first."""
    for name in names:
        if name == "two-processes":
            torchrun(folder)
        elif name.startswith("text"):
            text(folder, name)
        else:
            molecules(folder, name)


def molecules(folder: Path, name: str) -> None:
    """A run on pictures; ``interrupted`` is stopped by a signal in its middle and continued."""
    from molweight import load_config, run_experiment

    options = (
        *SMALL,
        *THREE_LEVELS,
        f"dataset={table(folder)}",
        "split=random",
        "split.seed=0",
        "solver=native",
    )
    config = load_config(*options, *MOLECULES[name], f"run_dir={folder / name}")
    if name == "interrupted":
        interrupt(config)
    run_experiment(config, command="run me", page=False)


def interrupt(config) -> None:
    """Stop the run after its third step."""
    from molweight import run_experiment

    try:
        from molweight.methods.run_directory import RunDirectory
        from molweight.utils import signals
    except ImportError:  # an earlier revision
        from molweight.run_directory import RunDirectory

        from molweight import signals

    append, count = RunDirectory.append_record, 0

    def stopping(self, record):
        nonlocal count
        append(self, record)
        count += 1
        if count == 3:
            signals.request(15)

    RunDirectory.append_record = stopping
    try:
        run_experiment(config, command="run me", page=False)
    except signals.Interrupted:
        return
    finally:
        RunDirectory.append_record = append
    raise AssertionError("the run was not interrupted")


def text(folder: Path, name: str) -> None:
    """A run on sentences with a small encoder that is made here."""
    from texts import make_folder

    from molweight import run_experiment
    from molweight.nlp import load_config

    glue = Path(os.environ["MOLWEIGHT_TEST_DATA"]) / "glue"
    encoder = folder / "encoder"
    if not encoder.exists():
        make_folder(encoder, glue)
    options = (
        "experiment=smoke",
        "task=rte",
        f"task.path={glue / 'RTE'}",
        f"backbone={encoder}",
        "device=cpu",
    )
    solver = "betty" if name.endswith("betty") else "native"
    run_experiment(load_config(*options, f"solver={solver}", f"run_dir={folder / name}"), page=False)


def torchrun(folder: Path) -> None:
    """A run of two processes."""
    options = (
        *SMALL,
        *THREE_LEVELS,
        f"dataset={table(folder)}",
        "split=random",
        "split.seed=0",
        "device=cpu",
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    module = ["-m", "molweight.run", *options, f"run_dir={folder / 'two-processes'}"]
    subprocess.run([*command, *module], check=True, capture_output=True, cwd=folder)


def differences(one: Path, two: Path) -> list[str]:
    """What differs between two folders of the same run."""
    found = [
        name
        for name in FILES
        if (one / name).exists() != (two / name).exists() or content(one / name) != content(two / name)
    ]
    reports = [json.loads((folder / "report.json").read_text()) for folder in (one, two)]
    keys = ("valid", "test", "weights", "valid_per_task", "test_per_task")
    return found + [key for key in keys if reports[0][key] != reports[1][key]]


def content(path: Path) -> object:
    """What a file holds besides times."""
    if not path.exists() or path.suffix != ".jsonl":
        return path.read_bytes() if path.exists() else None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def main() -> int:
    """Make the runs twice and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", help="of git, to compare with; or `make`, for the script's own use")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(RUNS)}; default: all")
    options = parser.parse_args()
    if options.revision == "make":
        make(Path.cwd(), options.runs)
        return 0
    names = options.runs or list(RUNS)
    with tempfile.TemporaryDirectory() as temporary:
        before = Path(temporary) / "before"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(before)], check=True)
        subprocess.run(["git", "-C", str(before), "checkout", "--quiet", options.revision], check=True)
        folders = []
        for tree, name in ((before, "old"), (ROOT, "new")):
            folder = Path(temporary) / name / "runs"  # relative names in reports are the same
            folder.mkdir(parents=True)
            folders.append(folder)
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join((str(tree), str(ROOT / "tests"))),
                "OMP_NUM_THREADS": "1",
                "MOLWEIGHT_CACHE": str(folder.parent / "cache"),
            }
            script = [sys.executable, str(Path(__file__).resolve()), "make", *names]
            subprocess.run(script, check=True, cwd=folder, env=environment)
        changed = {name: differences(folders[0] / name, folders[1] / name) for name in names}
    for name, what in changed.items():
        print(f"{name:16} {'the same bits' if not what else 'differs in ' + ', '.join(what)}")
    return int(any(changed.values()))


if __name__ == "__main__":
    sys.exit(main())
