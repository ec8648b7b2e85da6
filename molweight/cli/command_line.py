"""The commands of ``python -m molweight``: their names, options and help; nothing heavy is imported."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from molweight.cli.option_parser import Parser
from molweight.utils.machine import version_line

EXAMPLES = """examples:
  python -m molweight run dataset=tox21 seed=1
  python -m molweight predict runs/mine -i molecules.csv -o predictions.csv
  python -m molweight convert ImageMol.pth.tar imagemol.safetensors
  python -m molweight.run backbone=resnet18 backbone.init=imagemol.safetensors dataset=bbbp
  python -m molweight export runs/mine model.onnx
  python -m molweight datasets list
  python -m molweight leaderboard datasets=esol,bbbp methods=equal,tapweight seeds=0-4
  python -m molweight.nlp.run task=rte backbone=roberta-base
"""
DATASETS_EXAMPLES = """examples:
  python -m molweight datasets list
  python -m molweight datasets list --json
  python -m molweight datasets show tox21
  python -m molweight datasets show my.csv --smiles-column SMILES --targets logD
  python -m molweight datasets fetch esol bbbp
  python -m molweight datasets verify --all
"""
CONVERT_EXAMPLES = """examples:
  python -m molweight convert ImageMol.pth.tar imagemol.safetensors
  python -m molweight.run backbone=resnet18 backbone.init=imagemol.safetensors dataset=bbbp
  python -m molweight convert runs/mine mine.pth.tar                # its adapted backbone
  python -m molweight convert runs/mine/backbone.safetensors mine.pth.tar
  python finetune.py --resume mine.pth.tar --dataset BBBP            # in ImageMol's folder
  python -m molweight.run --help
"""
EXPORT_EXAMPLES = """examples:
  python -m molweight export runs/mine model.onnx      # onnxruntime
  python -m molweight export runs/mine model.pt2       # torch.export.load
  for run in runs/seed*; do python -m molweight export $run $run/model.onnx; done
  python -m molweight predict runs/mine -i new.csv     # the same numbers, without a file
  python -c 'import onnxruntime; print(onnxruntime.InferenceSession("model.onnx").get_inputs()[0].shape)'
  python -c 'from molweight import draw_pictures; print(draw_pictures(["CCO"], 64).shape)'
"""
REPORT_EXAMPLES = """examples:
  python -m molweight report runs/mine
  python -m molweight report runs/mine runs/other
  python -m molweight report results/runs/esol/tapweight/*
  python -m molweight report results/runs/*/*/*                     # of a whole leaderboard
  open $(python -m molweight report runs/mine)                      # xdg-open on Linux
  python -m molweight leaderboard --tables-only out=results         # the page of a leaderboard
"""
COMPLETION_EXAMPLES = """examples:
  python -m molweight completion bash > ~/.local/share/bash-completion/completions/molweight
  python -m molweight completion zsh > ~/.zfunc/_molweight          # with fpath+=~/.zfunc in ~/.zshrc
  python -m molweight completion tcsh >> ~/.cshrc
  source <(python -m molweight completion bash)                     # for this shell only
  pip install 'molweight[completion]'                               # what it needs
  python -m molweight.run --shell-completion install=bash           # options of a run, by Hydra
"""

LEADERBOARD_HELP = """Run every data set with every method and every seed, and rank the methods.

Finished runs are kept and interrupted ones continued: repeat the command to go on, or with more data sets,
methods or seeds to add them. Every other OPTION=VALUE is an option of all runs (python -m molweight.run
--cfg job shows them)."""
LEADERBOARD_EXAMPLES = """options (defaults):
  datasets=esol,my.csv     names or files (needed, or tasks=)
  tasks=rte,mrpc           text: tasks of GLUE
  methods=equal,tapweight  of method=
  seeds=0,1,2              or a range, 0-4
  out=results              folder of the runs and of leaderboard.html, .md, .csv, .json
  jobs=1                   runs at the same time, each in a process with its share of the cores
  launcher=                instead of jobs=: joblib, submitit_local, submitit_slurm for a cluster; its options
                           begin with hydra.launcher. (submitit: pip install 'molweight[launchers]')
  reference=tapweight      method that the others are tested against
  resamples=1000           of the test molecules, for the intervals

examples:
  python -m molweight leaderboard datasets=esol,bbbp methods=equal,tapweight seeds=0,1,2
  python -m molweight leaderboard datasets=my.csv seeds=0-4 jobs=2 learn.steps=40 backbone=tiny
  python -m molweight leaderboard datasets=bbbp split=scaffold_balanced 'split.seed=${seed}'
  python -m molweight leaderboard datasets=esol launcher=joblib hydra.launcher.n_jobs=4
  python -m molweight leaderboard datasets=esol launcher=submitit_slurm hydra.launcher.partition=gpu \\
      hydra.launcher.gpus_per_node=1 hydra.launcher.timeout_min=600
  python -m molweight leaderboard --tables-only out=results reference=equal
  python -m molweight leaderboard --tables-only sweeps/steps
  python -m molweight leaderboard --tables-only runs/mine runs/yours out=tables
"""

MOLECULE_COMMANDS = {
    "predict": "predict molecules with the model of a finished run",
    "embed": "embeddings of molecules from a finished run",
    "explain": "which atoms predictions come from",
}
"""Commands with a parser of their own: SMILES stand anywhere among their options, which subparsers forbid."""

COMMANDS = ("run", *MOLECULE_COMMANDS, "completion", "convert", "datasets", "export", "leaderboard", "report")
COMPLETED_AS = {
    **{"FILE": "file", "source": "file", "destination": "file"},
    **{"RUN_DIR": "folder", "SMILES": "folder", "FOLDER": "folder"},
}
"""What a shell looks for where these stand; more RUN_DIRs come before the first SMILES."""

SHELLS = ("bash", "zsh", "tcsh")


def parser(others: Mapping[str, Parser] | None = None) -> Parser:
    """The commands and their options.

    Args:
        others: parsers of :data:`MOLECULE_COMMANDS`, for who wants to know all options.
    """
    top = Parser(
        prog="molweight",
        description="Task-adaptive pretraining of molecule-image models with learned objective weights.",
        epilog=EXAMPLES,
    )
    top.add_argument("--version", action="version", version=version_line(), help="show versions and exit")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="adapt a backbone to a data set (same as python -m molweight.run)")
    for name, purpose in MOLECULE_COMMANDS.items():
        parents = [others[name]] if others else []
        commands.add_parser(name, help=purpose, parents=parents, add_help=not parents)
    command = commands.add_parser(
        "convert",
        help="turn ImageMol's .pth.tar weights into a .safetensors file, or ours into theirs",
        description="Turn ImageMol's weights into a file for backbone.init=, or a backbone of full width "
        "into a file for finetune.py --resume of ImageMol. The names of the files say which.",
        epilog=CONVERT_EXAMPLES,
    )
    command.add_argument("source", type=Path, help="ImageMol.pth.tar; or a .safetensors file, or a RUN_DIR")
    command.add_argument("destination", type=Path, help="a new .safetensors file; or a new .pth.tar file")
    command = commands.add_parser(
        "export",
        help="write the model of a finished run for other programs: ONNX, torch.export",
        description="Write a finished run's model as one file, from pictures [b, 3, S, S] uint8 to what "
        "predict writes, after comparing the two on some molecules.",
        epilog=EXPORT_EXAMPLES,
    )
    command.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run")
    command.add_argument("destination", metavar="FILE", help="a new file, .onnx or .pt2")
    command = commands.add_parser(
        "report",
        help="write the page of a finished run",
        description="Write report.html, a page that needs nothing else, from the files of finished runs.",
        epilog=REPORT_EXAMPLES,
    )
    command.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", help="folder of a finished run")
    command = commands.add_parser(
        "completion",
        help="what makes a shell complete commands and options",
        description="Print what makes a shell complete the commands and options of molweight.",
        epilog=COMPLETION_EXAMPLES,
    )
    command.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    add_datasets(commands)
    command = commands.add_parser(
        "leaderboard",
        help="many runs side by side: data sets, methods, seeds",
        description=LEADERBOARD_HELP,
        epilog=LEADERBOARD_EXAMPLES,
    )
    command.add_argument("tokens", metavar="OPTION=VALUE", nargs="*", help="see below")
    command.add_argument(
        "--tables-only",
        action="store_true",
        help="run nothing: make the tables again, or those of the folders (of sweeps or runs) that are given",
    )
    return top


def add_datasets(commands: argparse._SubParsersAction[Parser]) -> None:
    """``datasets`` and its actions."""
    purpose = "list, show, fetch and verify data sets"
    command = commands.add_parser("datasets", help=purpose, epilog=DATASETS_EXAMPLES)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = dataset_action(actions, "list", "every data set that is known by name, and where its file is")
    action.add_argument("--json", action="store_true", help="for machines")
    action = dataset_action(actions, "show", "rows, duplicates, labels and scaffolds of one data set")
    action.add_argument("name", metavar="NAME", help="a data set, or a file of your own")
    action.add_argument("--path", metavar="FILE", help="read this file instead")
    action.add_argument("--smiles-column", metavar="COLUMN", help="where the SMILES are")
    action.add_argument("--targets", metavar="COLUMN", nargs="+", help="where the labels are")
    action.add_argument("--task-type", metavar="TYPE", help="classification or regression")
    action.add_argument(
        "--missing-values", metavar="TEXT", nargs="*", help="what stands for a missing label, such as -1"
    )
    action.add_argument("--all", action="store_true", help="every target, however many there are")
    action.add_argument("--json", action="store_true", help="for machines; always every target")
    fetch = dataset_action(actions, "fetch", "download data sets and check them")
    fetch.add_argument("--sha256", metavar="CHECKSUM", help="of the one file, if none is known")
    verify = dataset_action(actions, "verify", "compare files with the checksums that are known")
    for action in (fetch, verify):
        action.add_argument("names", metavar="NAME", nargs="*", help="data sets")
        action.add_argument("--all", action="store_true", help="every one")


def dataset_action(actions: argparse._SubParsersAction[Parser], name: str, purpose: str) -> Parser:
    """One action of ``datasets``; all show the same examples."""
    return actions.add_parser(name, help=purpose, description=purpose, epilog=DATASETS_EXAMPLES)
