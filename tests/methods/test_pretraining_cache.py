"""Runs that share continued pretraining end as they would have ended alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from smallest import SMALLEST

from molweight.config.image_run import load_config
from molweight.config.named_specs import dataset_spec
from molweight.data.datasets import load_dataset
from molweight.errors import DataError
from molweight.methods import continued_pretraining
from molweight.methods.pretraining_cache import cached_pretraining
from molweight.objectives.setup import ImageData
from molweight.reporting.report import Report
from molweight.runs.experiment import run_experiment

SMALL = (*SMALLEST, "finetune.epochs=1", "learn.steps=2")
FEW = 150  # molecules of a task: what is learned from them is of no matter here
WHAT_DIFFERS = (
    *("method=uncertainty", "method=single:jigsaw", "method=fixed:{folder}/weights.json", "seed=1"),
    *("learn.steps=1", "learn.unroll.every=3", "learn.batch_size.pretrain=8", "learn.pretrain.lr=2e-3"),
    *("corpus.limit=64", "backbone.width=8", "backbone.image_size=48", "views.jigsaw.identity=0.5"),
    *("augment.grey=0", "standardise.uncharge=true"),
)
WHAT_DOES_NOT = (
    *("dataset={folder}/other.csv", "split.seed=5", "protocol=strict", "finetune.epochs=2"),
    *("learn.weights.lr=1", "learn.finetune.lr=1e-2", "hypergradient=paper", "threads=1", "workers=0"),
)


def run(folder: Path, *overrides: str, task: str = "values") -> Report:
    chosen = (f"dataset={TASKS[task]}", "method=equal", f"run_dir={folder}")
    return run_experiment(load_config(*SMALL, *chosen, *overrides), page=False)


TASKS: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def tasks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first molecules of chembl2321810 with their values, and with the lengths of their SMILES."""
    found = load_dataset(dataset_spec("chembl2321810"))
    folder = tmp_path_factory.mktemp("few")
    for name, labels in (
        ("values", found.targets[:FEW, 0]),
        ("lengths", [len(smiles) for smiles in found.smiles[:FEW]]),
    ):
        rows = [f"{smiles},{label}" for smiles, label in zip(found.smiles[:FEW], labels, strict=True)]
        TASKS[name] = folder / f"{name}.csv"
        TASKS[name].write_text("\n".join(["smiles,y", *rows]) + "\n")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the runs that pretrained themselves."""
    found: list[Path] = []
    train = continued_pretraining.train

    def noted(setup, config, directory, *args, **kwargs):
        found.append(directory.path)
        train(setup, config, directory, *args, **kwargs)

    monkeypatch.setattr(continued_pretraining, "train", noted)
    return found


@pytest.mark.parametrize("method", ["equal", "uncertainty", "random_search"])
def test_another_task_takes_the_backbone_and_ends_as_it_would_have_ended_alone(
    method: str, tmp_path: Path, trained: list[Path]
) -> None:
    cache = (f"method={method}", f"pretraining_cache={tmp_path / 'kept'}")
    run(tmp_path / "first", *cache)
    alone = run(tmp_path / "alone", f"method={method}", task="lengths").content
    before = len(trained)
    taken = run(tmp_path / "taken", *cache, task="lengths").content
    assert len(trained) == before, "it was pretrained once more"
    for name in ("predictions.csv", "backbone.safetensors", "model.safetensors"):
        assert (tmp_path / "taken" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    for key in ("valid", "test", "weights", "images", "engine", "config_hash"):
        assert taken[key] == alone[key], key
    assert alone["seconds_reused"] == 0 < taken["seconds_reused"] < taken["seconds_by_stage"]["learn"]


def test_the_time_of_the_run_that_made_it_counts(tmp_path: Path) -> None:
    cache = f"pretraining_cache={tmp_path / 'kept'}"
    run(tmp_path / "first", cache)
    records = [json.loads(line) for line in (tmp_path / "first" / "steps.jsonl").read_text().splitlines()]
    taken = run(tmp_path / "second", cache).content
    assert taken["seconds_reused"] == pytest.approx(sum(record["seconds"] for record in records))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small tasks and a file of weights."""
    found = tmp_path_factory.mktemp("tasks")
    chains = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "Cl", "c1ccccc1")]
    for name, keep in (("one.csv", chains), ("other.csv", chains[::2])):
        rows = [f"{smiles},{len(smiles)}" for smiles in keep]
        (found / name).write_text("\n".join(["smiles,y", *rows]) + "\n")
    names = load_config(*SMALL, f"run_dir={found}").samples.objectives
    (found / "weights.json").write_text(json.dumps({names[0].name: 1.0, names[1].name: 0.5}))
    return found


def entry(folder: Path, *overrides: str) -> str:
    """The name that the cache would give to the pretraining of a run."""
    chosen = (f"dataset={folder}/one.csv", "method=equal", f"run_dir={folder}", "pretraining_cache=cached")
    small = ("split=random", "corpus.limit=60")  # few enough to be drawn without other processes
    config = load_config(*SMALL, *chosen, *small, *(option.format(folder=folder) for option in overrides))
    setup = ImageData(config.samples, run_dir=folder, device=torch.device("cpu"))
    balance = config.method.balance(setup.objectives)
    cached = cached_pretraining(setup, config, balance, steps=config.learn.steps)
    assert cached is not None
    return cached.folder.name


@pytest.fixture(scope="module")
def usual(folder: Path) -> str:
    """The entry of a run without further options."""
    return entry(folder)


@pytest.mark.parametrize("differs", WHAT_DIFFERS)
def test_what_decides_the_backbone_decides_the_entry(differs: str, usual: str, folder: Path) -> None:
    assert entry(folder, differs) != usual


@pytest.mark.parametrize("differs", WHAT_DOES_NOT)
def test_what_only_later_stages_read_does_not(differs: str, usual: str, folder: Path) -> None:
    assert entry(folder, differs) == usual


def test_methods_that_read_the_task_keep_nothing(tmp_path: Path) -> None:
    for method in ("tapweight", "bilevel", "direct"):
        run(tmp_path / method, f"method={method}", f"pretraining_cache={tmp_path / 'kept'}")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("name", ["steps.jsonl", "pretraining.json"])
def test_a_damaged_entry_is_made_again(
    name: str, tmp_path: Path, trained: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    cache = f"pretraining_cache={tmp_path / 'kept'}"
    first = run(tmp_path / "first", cache)
    (entry,) = (tmp_path / "kept").iterdir()
    (entry / name).write_bytes((entry / name).read_bytes()[:-9])
    second = run(tmp_path / "second", cache)
    assert len(trained) == 2 and "is damaged; its pretraining is done again" in caplog.text
    assert second.test == first.test
    run(tmp_path / "third", cache)
    assert len(trained) == 2


def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, trained: list[Path]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    words = r"pretraining_cache: .*file.* cannot be written .*; choose another folder, or null"
    with pytest.raises(DataError, match=words):
        run(tmp_path / "run", f"pretraining_cache={tmp_path / 'file'}")
    assert trained == []


def test_the_cache_does_not_decide_the_result(tmp_path: Path) -> None:
    plain = load_config(*SMALL, f"run_dir={tmp_path}")
    assert load_config(*SMALL, f"run_dir={tmp_path}", "pretraining_cache=x").hash == plain.hash
