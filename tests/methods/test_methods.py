"""Methods by name, and a small real run of each."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from smallest import SMALLEST

from molweight.config.image_run import load_config
from molweight.errors import ConfigError, DataError
from molweight.methods.base import Method
from molweight.methods.continued_pretraining import ContinuedPretraining
from molweight.methods.fixed_weights import FixedWeights, Single, read_weights
from molweight.methods.random_search import RandomSearch, weightings
from molweight.methods.registry import methods, parse_method, spellings
from molweight.methods.run_directory import RunDirectory
from molweight.methods.tapweight import TapWeight
from molweight.models import forest
from molweight.reporting.report import Report
from molweight.runs.experiment import run_experiment
from molweight.utils.files import sha256_file

SMALL = (*SMALLEST, "finetune.epochs=1", "learn.steps=3", "learn.checkpoint_every=1")


def run(folder: Path, method: str, *overrides: str) -> Report:
    return run_experiment(
        load_config(*SMALL, f"method={method}", f"run_dir={folder}", *overrides), page=False
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((name, methods()[name]()) for name in spellings() if name in methods()),
        ("single:jigsaw", Single("jigsaw")),
        ("fixed:a/b:c.json", FixedWeights("a/b:c.json")),
        ("tapweight:paper", TapWeight("paper")),
    ],
)
def test_names(text: str, expected: Method) -> None:
    assert parse_method(text) == expected and str(expected) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("equl", "Did you mean 'equal'"),
        ("equal:x", "unknown method 'equal:x'"),
        ("single", "method=single needs an objective"),
        ("fixed:", "needs a JSON file"),
        (None, "unknown method"),
    ],
)
def test_what_is_no_method(text: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_method(text)


def test_names_that_saved_runs_and_tables_have_are_known() -> None:
    pretrain = {"tapweight", "bilevel", "equal", "uncertainty", "dwa", "gradnorm", "mgda", "pcgrad", "upgrad"}
    pretrain |= {"random_search", "single", "fixed"}
    assert pretrain | {"direct", "scratch", "ecfp_rf"} <= set(methods())
    assert {name for name, method in methods().items() if method.pretrains} >= pretrain
    assert [name for name, method in methods().items() if method.learns] == ["bilevel", "tapweight"]


@pytest.mark.parametrize("name", methods())
def test_every_method_is_explained_where_users_choose(name: str) -> None:
    method = methods()[name]
    assert method.__doc__ and method.__doc__ != Method.__doc__ and method.__doc__.endswith(".")
    page = (Path(__file__).resolve().parents[2] / "docs" / "choosing.md").read_text()
    assert re.search(rf"^\|.*`{name}(:<\w+>)?`.*\|$", page, re.MULTILINE), (
        "docs/choosing.md has a table of methods"
    )


def test_a_preset_is_part_of_the_name() -> None:
    assert load_config(*SMALL, "method=tapweight:paper").hypergradient_name == "paper"
    with pytest.raises(ConfigError, match="asks for hypergradient=paper, but hypergradient=exact was chosen"):
        load_config(*SMALL, "method=tapweight:paper", "hypergradient=exact")


def test_one_objective_of_the_preset() -> None:
    assert [o.name for o in load_config(*SMALL, "method=single:jigsaw").samples.objectives] == ["jigsaw"]
    with pytest.raises(ConfigError, match=r"method=single: 'jigsa'\. Did you mean 'jigsaw'"):
        load_config(*SMALL, "method=single:jigsa")


NAMES = ("a", "b")


@pytest.mark.parametrize("content", ['{"b": 3, "a": 1}', '{"weights": {"a": 1, "b": 3}, "test": 0.5}'])
def test_weights_of_a_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    assert read_weights(path, NAMES) == [1.0, 3.0]
    balance = FixedWeights(str(path)).balance(NAMES)
    torch.testing.assert_close(balance.state_dict()["weights"], torch.tensor([0.25, 0.75]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}', "must hold a weight for each of a, b; found a"),
        ('{"a": 1, "b": 1, "c": 1}', "found a, b, c"),
        ("[1, 2]", "found list"),
        ('{"a": -1, "b": 1}', "weights must be numbers >= 0"),
        ('{"a": 0, "b": 0}', "not all zero"),
        ('{"a": true, "b": 1}', "must be numbers"),
        ('{"a": NaN, "b": 1}', "must be numbers"),
        ('{"a": null, "b": 1}', "must be numbers"),
    ],
)
def test_weights_that_do_not_fit(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_weights(path, NAMES)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read weights from"):
        read_weights(tmp_path / "absent.json", NAMES)
    (tmp_path / "w.json").write_text("{")
    with pytest.raises(DataError, match="cannot read weights from"):
        read_weights(tmp_path / "w.json", NAMES)


@pytest.mark.parametrize("name", [name for name, method in methods().items() if method.pretrains])
def test_a_run_of_every_method_is_what_it_declares(name: str, tmp_path: Path) -> None:
    config = load_config(*SMALL)
    weights = dict.fromkeys([o.name for o in config.samples.objectives], 2.0)
    (tmp_path / "weights.json").write_text(json.dumps(weights))
    arguments = {"single": "jigsaw", "fixed": str(tmp_path / "weights.json")}
    method = methods()[name]
    text = f"{name}:{arguments[name]}" if method.needs_argument else name
    report = run(tmp_path / "run", text)
    content = report.content
    images = config.learn.steps * config.learn.unroll.every * config.learn.batch_size.pretrain
    assert content["images"] == images or not (method.learns or issubclass(method, ContinuedPretraining))
    hypergradient = config.hypergradient_name if method.learns else None
    assert (content["method"], content["hypergradient"]) == (text, hypergradient)
    assert content["engine"] != "none"
    assert content["images"] > 0 and content["test"] > 0
    assert sum(report.weights.values()) == pytest.approx(1.0, abs=1e-5)
    assert content["separation"] == {}, "three updates say nothing"
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"weights.png", "backbone.safetensors", "steps.jsonl"} <= files
    assert ("model.safetensors" in files) == method.needs_network
    lines = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert 1 <= len(lines) <= config.learn.steps and set(lines[0]["weights"]) == set(report.weights)
    assert (lines[-1]["validation_loss"] is not None) == method.learns


def test_random_search_keeps_the_best_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("learn.steps=4", "search.trials=3")
    counted: list[Any] = []
    finetune = Method.finetune
    monkeypatch.setattr(Method, "finetune", lambda *a, **k: counted.append(a) or finetune(*a, **k))
    whole = run(tmp_path / "whole", "random_search", *options)
    assert len(counted) == 3, "the winner is not finetuned again"
    names = [o.name for o in load_config(*SMALL).samples.objectives]
    drawn = weightings(len(names), 3, 0)
    assert drawn[0] == [1 / len(names)] * len(names) and drawn == weightings(len(names), 3, 0)
    trials = [json.loads((tmp_path / f"whole/search/{i}/trial.json").read_text()) for i in range(3)]
    for trial, weights in zip(trials, drawn, strict=True):
        assert list(trial["weights"].values()) == pytest.approx(weights, abs=1e-6)
    best = min(trials, key=lambda trial: trial["valid"])  # RMSE
    assert whole.weights == best["weights"]
    assert whole.content["valid"] == pytest.approx(best["valid"], rel=1e-6)
    config = load_config(*SMALL, *options)
    assert config.search.steps(4) == 1
    per_trial = config.learn.unroll.every * config.learn.batch_size.pretrain
    assert whole.content["images"] == 3 * per_trial
    assert load_config(*SMALL, *options, "search.share=false").search.steps(4) == 4

    original = RandomSearch.attempt

    def attempt(*args: Any, **options: Any) -> Any:
        if args[4] == 2:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(RandomSearch, "attempt", attempt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", "random_search", *options)
    counted.clear()
    monkeypatch.setattr(RandomSearch, "attempt", original)
    again = run(tmp_path / "stopped", "random_search", *options)
    won_before = trials.index(best) < 2
    assert len(counted) == 1 + won_before, "finished trials are read, not repeated"
    assert again.weights == whole.weights and again.test == whole.test


def test_a_trial_without_a_score_can_be_read_again(tmp_path: Path) -> None:
    """Where validation has one class, the metric is NaN, which JSON writes as null."""
    config = load_config(*SMALL, "method=random_search")
    (tmp_path / "trial.json").write_text('{"number": 1, "weights": {"a": 1.0}, "valid": null, "images": 5}')
    trial, model = RandomSearch().attempt(None, config, RunDirectory(tmp_path), 1, [1.0], progress=False)  # type: ignore[arg-type]
    assert math.isnan(trial.valid) and trial.images == 5 and model is None


def test_a_search_needs_a_trial() -> None:
    with pytest.raises(ConfigError, match=r"search\.trials must be >= 1, got 0"):
        load_config(*SMALL, "method=random_search", "search.trials=0")


def test_learned_weights_can_be_used_again(tmp_path: Path) -> None:
    """Equal weights from a file are ``equal``; others are taken as they stand."""
    weights = tmp_path / "w.json"
    names = [o.name for o in load_config(*SMALL).samples.objectives]
    weights.write_text(json.dumps(dict.fromkeys(names, 1.0)))
    equal, fixed = run(tmp_path / "equal", "equal"), run(tmp_path / "fixed", f"fixed:{weights}")
    assert fixed.test == equal.test and fixed.weights == equal.weights
    before = load_config(*SMALL, f"method=fixed:{weights}").hash
    uneven = dict.fromkeys(names, 0.0) | {names[0]: 1.0}
    weights.write_text(json.dumps(uneven))
    assert load_config(*SMALL, f"method=fixed:{weights}").hash != before, "an edited file is another run"
    assert run(tmp_path / "uneven", f"fixed:{weights}").weights == uneven
    weights.write_text("{}")
    with pytest.raises(ConfigError, match="must hold a weight for each of"):
        load_config(*SMALL, f"method=fixed:{weights}")


@pytest.mark.parametrize("method", [name for name, method in methods().items() if not method.pretrains])
def test_without_pretraining_no_corpus_is_read(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forest, "TREES", 20)
    content = run(tmp_path / "run", method, "corpus=zinc250k", "corpus.limit=null").content
    assert content["images"] == 0 and content["weights"] == {} and content["corpus"]["molecules"] == 0
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert not files & {"weights.png", "backbone.safetensors", "checkpoint", "excluded_corpus.csv"}
    assert ("model.safetensors" in files) == methods()[method].needs_network
    page = (tmp_path / "run" / "report.md").read_text()
    assert "Weights" not in page and ("| backbone | none |" in page) != methods()[method].needs_network


def test_scratch_ignores_the_checkpoint_and_direct_uses_it(tmp_path: Path) -> None:
    run(tmp_path / "equal", "equal")
    init = f"backbone.init={tmp_path / 'equal' / 'backbone.safetensors'}"
    assert load_config(*SMALL, "method=scratch", init).samples.backbone.init == "random"
    scratch, direct = (run(tmp_path / name, name, init).content for name in ("scratch", "direct"))
    assert scratch["valid"] != direct["valid"]
    assert scratch["backbone_sha256"] is None
    assert direct["backbone_sha256"] == sha256_file(tmp_path / "equal" / "backbone.safetensors")
    assert scratch["valid"] == run(tmp_path / "again", "scratch").content["valid"]
    first = load_file(tmp_path / "direct" / "model.safetensors")
    assert any(name.startswith("backbone.") for name in first)
