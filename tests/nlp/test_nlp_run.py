"""Whole runs on text: the command, its artefacts, both engines, a leaderboard, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from texts import make_folder, make_sentencepiece

from molweight.__main__ import main as molweight
from molweight.errors import ConfigError
from molweight.leaderboard.rows import read_rows
from molweight.methods import steps
from molweight.nlp import load_config
from molweight.nlp.run import main
from molweight.reporting.page import render
from molweight.runs.experiment import run_experiment
from molweight.training.metrics import METRICS
from molweight.utils.files import sha256_file

SMALL = ("experiment=smoke", "learn.unroll.every=2", "learn.burn_in=0", "device=cpu")


@pytest.fixture(scope="module")
def folder(glue, tmp_path_factory):
    """A tiny RoBERTa, with dropout."""
    return make_folder(tmp_path_factory.mktemp("roberta"), glue)


@pytest.fixture(autouse=True)
def files(glue, monkeypatch):
    monkeypatch.setenv("MOLWEIGHT_GLUE", str(glue))


def report_of(path):
    return json.loads((path / "report.json").read_text())


@pytest.fixture(scope="module")
def finished(folder, glue, tmp_path_factory):
    """A finished run of the native engine."""
    out = tmp_path_factory.mktemp("runs") / "native"
    options = ("task=rte", f"task.path={glue / 'RTE'}", f"backbone={folder}", "solver=native")
    run_experiment(load_config(*SMALL, *options, f"run_dir={out}"), page=False)
    return out


def test_a_run_of_text_has_a_page(finished):
    page = render(finished)
    assert "How often each label was predicted" in page and "Worst predicted" in page
    report = json.loads((finished / "report.json").read_text())
    assert f"{report['test']:.3f}" in page and "Red atoms" not in page
    assert len(re.findall(r'<code title="[^"]+ / [^"]+">', page)) == 12  # both sentences of a pair


def same_result(one, two):
    """Whether two runs learned, predicted and reported the same, bit for bit."""
    for name in ("backbone.safetensors", "model.safetensors"):
        first, second = load_file(one / name), load_file(two / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert (one / "predictions.csv").read_text() == (two / "predictions.csv").read_text()
    lines = [(path / "steps.jsonl").read_text().splitlines() for path in (one, two)]
    for first, second in zip(*lines, strict=True):
        assert json.loads(first) | {"seconds": 0} == json.loads(second) | {"seconds": 0}
    first, second = report_of(one), report_of(two)
    assert [first[key] for key in ("valid", "test", "weights")] == [
        second[key] for key in ("valid", "test", "weights")
    ]


def test_a_run_leaves_what_a_run_leaves(finished):
    report = report_of(finished)
    assert report["modality"] == "text" and report["dataset"] == "rte" and report["metric"] == "accuracy"
    assert report["split"]["sizes"] == {"train": 48, "meta": 0, "valid": 12, "test": 60}
    assert report["task_type"] == "multiclass" and report["test_evaluations"] == 1
    card = (finished / "MODEL_CARD.md").read_text()
    assert "tags: [text, multiclass]" in card and 'AutoModel.from_pretrained("' in card
    assert set(report["weights"]) == {"contrastive", "masked_language", "sentence_order"}
    assert sum(report["weights"].values()) == pytest.approx(1) and len(set(report["weights"].values())) == 3
    assert report["corpus"]["name"] == "task" and report["corpus"]["sentences"] > 80
    assert report["images"] == 4 * 2 * 8  # outer steps, level-1 steps in each, sentences in a batch
    assert {"transformers", "tokenizers", "torch"} <= set(report["versions"])
    assert "sentences (" in (finished / "report.md").read_text()
    model = json.loads((finished / "model.json").read_text())
    assert model["labels"] == ["not_entailment", "entailment"] and model["config"]["model_type"] == "roberta"
    for name in ("weights.png", "config.yaml", "splits.json", "steps.jsonl", "status.json"):
        assert (finished / name).exists()


def test_predictions_give_the_score_of_the_report(finished):
    table = pd.read_csv(finished / "predictions.csv")
    tested = table[table["part"] == "test"]
    assert len(tested) == 60 and list(tested["row"]) == list(range(2, 62))
    score = METRICS["accuracy"].compute(tested["label_true"].to_numpy(), tested["label"].to_numpy())
    assert score == pytest.approx(report_of(finished)["test"])
    chances = tested[["probability of not_entailment", "probability of entailment"]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert (chances.to_numpy().argmax(axis=1) == tested["label"]).all()


def test_transformers_reads_the_adapted_encoder(finished, folder, tmp_path):
    import transformers

    encoder = transformers.AutoModel.from_pretrained(finished / "encoder")
    mine, theirs = (transformers.AutoTokenizer.from_pretrained(f) for f in (finished / "encoder", folder))
    assert mine("a b")["input_ids"] == theirs("a b")["input_ids"]
    learned = load_file(finished / "backbone.safetensors")
    found = encoder.state_dict()
    assert len(learned) > 30
    for name, value in learned.items():
        assert torch.equal(found[name.removeprefix("roberta.")], value)
    before = transformers.AutoModel.from_pretrained(folder).state_dict()
    assert not torch.equal(
        before["embeddings.word_embeddings.weight"], found["embeddings.word_embeddings.weight"]
    )
    options = (*SMALL, "task=cola", "method=direct", f"run_dir={tmp_path / 'next'}")
    run_experiment(load_config(*options, f"backbone={finished / 'encoder'}"), page=False)
    assert report_of(tmp_path / "next")["backbone_sha256"] == sha256_file(finished / "backbone.safetensors")


def test_both_engines_agree_bit_for_bit(finished, folder, tmp_path):
    out = tmp_path / "betty"
    run_experiment(
        load_config(*SMALL, "task=rte", f"backbone={folder}", "solver=betty", f"run_dir={out}"), page=False
    )
    assert report_of(out)["engine"].startswith("betty")
    same_result(finished, out)


def test_an_interrupted_run_continues_as_if_nothing_had_been(finished, folder, tmp_path, monkeypatch):
    out = tmp_path / "run"
    options = (*SMALL, "task=rte", f"backbone={folder}", "solver=native", f"run_dir={out}")
    original = steps.save_checkpoint

    def save_and_stop(*arguments, **more):
        original(*arguments, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "save_checkpoint", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(load_config(*options), page=False)
    monkeypatch.setattr(steps, "save_checkpoint", original)
    assert json.loads((out / "status.json").read_text())["state"] == "interrupted"
    run_experiment(load_config(*options), page=False)
    same_result(finished, out)


def test_recomputed_activations_change_nothing(finished, folder, tmp_path):
    out = tmp_path / "run"
    options = (*SMALL, "task=rte", f"backbone={folder}", "solver=native", "backbone.checkpointing=true")
    run_experiment(load_config(*options, f"run_dir={out}"), page=False)
    same_result(finished, out)


@pytest.mark.parametrize("hypergradient", ["accurate", "paper", "exact"])
def test_every_hypergradient_goes_through_an_encoder(hypergradient, folder, tmp_path):
    options = (*SMALL, "task=cola", f"backbone={folder}", f"method=tapweight:{hypergradient}")
    report = run_experiment(load_config(*options, "learn.steps=2", f"run_dir={tmp_path / 'run'}"), page=False)
    assert len(set(report.weights.values())) == 3


@pytest.mark.parametrize(
    "options",
    [
        ("task=stsb", "method=tapweight", "learn.accumulate=2"),
        ("task=mnli", "method=bilevel"),
        ("task=mrpc", "method=equal", "protocol=strict"),
        ("task=cola", "method=random_search", "search.trials=2"),
        ("task=sst2", "method=uncertainty"),
        ("task=sst2", "method=tapweight", "backbone.freeze_embeddings=true"),
        ("task=qqp", "method=tapweight", "learn.proximal.kind=l1_encoder", "learn.proximal.reduction=mean"),
        ("task=qnli", "method=scratch"),
        ("task=rte", "method=direct"),
        ("task=rte", "method=single:masked_language", "objectives=two"),
    ],
    ids=lambda options: "-".join(o.partition("=")[2] for o in options[:2]),
)
def test_every_task_and_method(options, folder, tmp_path):
    report = run_experiment(
        load_config(*SMALL, f"backbone={folder}", *options, f"run_dir={tmp_path / 'r'}"), page=False
    )
    assert report.content["test"] is not None and report.content["test"] == report.content["test"]


def test_a_deberta_with_its_own_tokenizer(glue, tmp_path):
    folder = make_folder(tmp_path / "deberta", glue, "deberta")
    report = run_experiment(
        load_config(*SMALL, "task=rte", f"backbone={folder}", f"run_dir={tmp_path / 'r'}"),
        page=False,
    )
    assert len(set(report.weights.values())) == 3


def test_a_deberta_with_a_sentencepiece_model(glue, tmp_path):
    folder = make_folder(tmp_path / "deberta", glue, "deberta")
    make_sentencepiece(folder, glue)
    options = (*SMALL, "task=cola", "method=equal", "learn.steps=2", f"backbone={folder}")
    run_experiment(load_config(*options, f"run_dir={tmp_path / 'run'}"), page=False)
    tokenizer = json.loads((tmp_path / "run" / "encoder" / "tokenizer.json").read_text())
    assert tokenizer["model"]["type"] == "Unigram" and len(tokenizer["model"]["vocab"]) in (350, 351)


def test_real_weights_of_minilm_and_no_molecules(tmp_path):
    """In a process of its own, in which neither RDKit nor torchvision can be imported."""
    out = tmp_path / "run"
    arguments = ["experiment=smoke", "task=stsb", "method=tapweight", "task.limit=200", f"run_dir={out}"]
    arguments += ["learn.steps=2", "learn.burn_in=0", "finetune.epochs=1"]
    code = (
        "import sys; sys.modules |= dict.fromkeys(['rdkit', 'torchvision', 'deepchem']); "
        "from molweight.nlp.run import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "stsb: test mean of Pearson and Spearman correlation" in done.stdout
    report = report_of(out)
    assert report["parameters"] > 22_000_000 and len(report["backbone_sha256"]) == 64
    assert report["test"] > 0.3 and set(report["test_per_task"]) == {"Pearson", "Spearman"}


def test_a_leaderboard_of_tasks(folder, tmp_path, capsys):
    out = tmp_path / "board"
    options = [o for o in SMALL if not o.startswith("device")]
    words = [
        "resamples=100",
        "tasks=rte,cola",
        "methods=direct,tapweight",
        "seeds=0,1",
        f"out={out}",
        f"backbone={folder}",
    ]
    assert molweight(["leaderboard", *words, *options]) == 0
    rows = read_rows(out)
    assert {(row["dataset"], row["method"], row["seed"]) for row in rows} == {
        (task, method, seed)
        for task in ("rte", "cola")
        for method in ("direct", "tapweight")
        for seed in (0, 1)
    }
    assert all(row["state"] == "ok" and row["split"] == "glue" for row in rows)
    assert len({row["split_hash"] for row in rows if row["dataset"] == "rte"}) == 1
    assert "python -m molweight.nlp.run task=rte method=tapweight seed=1" in str([r["command"] for r in rows])
    assert not list(out.glob("runs/*/*/*/checkpoint")), "a finished run has no use for it"
    page = (out / "leaderboard.md").read_text()
    assert "accuracy" in page and "Matthews" in page
    assert "leaderboard tasks=rte,cola methods=direct,tapweight seeds=0,1" in page
    assert molweight(["leaderboard", *words, *options]) == 0
    assert "8 of 8 runs were finished before" in capsys.readouterr().out
    assert molweight(["leaderboard", "tasks=rte", "datasets=esol", f"out={out}"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["task=rtee"], 2, "unknown task 'rtee'. Did you mean 'rte'?"),
        (["task.path=/no/such/folder"], 5, "there is no file /no/such/folder/train.tsv; put train.tsv"),
        (["backbone=no/such-model"], 5, "backbone=no/such-model could not be loaded"),
        (["tokens.longest=41"], 2, "tokens.longest=41 is longer than the 40 tokens that backbone="),
        (["tokens.longest=4"], 2, "must be >= 8, got 4"),
        (["method=ecfp_rf"], 2, "method=ecfp_rf is for molecules; method=direct is the simplest"),
        (["objectives=imagemol"], 2, "unknown objectives 'imagemol'"),
        (["learn.proximal.kind=l1"], 2, "gives the weights no gradient"),
        (["taks=rte"], 2, "unknown option 'taks'. Did you mean 'task'?"),
        (["split.valid=1"], 2, "split.valid must be between 0 and 1"),
        (["corpus=none.txt"], 5, "none.txt cannot be read"),
        (["task.limit=3"], 2, "task.limit must be >= 10 or null"),
        (["finetune.augment=true"], 2, "augment"),
        (["dataset=esol"], 2, "unknown option 'dataset'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_input_is_one_sentence_and_an_exit_code(
    arguments, code, words, folder, tmp_path, capfd, monkeypatch
):
    backbone = [] if arguments[0].startswith("backbone") else [f"backbone={folder}"]
    monkeypatch.setattr(sys, "argv", ["molweight.nlp.run"])
    found = main([*SMALL, *backbone, f"run_dir={tmp_path / 'run'}", *arguments])
    error = capfd.readouterr().err
    assert words in error and "Traceback" not in error
    assert found == code


def test_a_malformed_row_and_a_wrong_label_end_with_5(glue, folder, tmp_path, capfd, monkeypatch):
    lines = (glue / "RTE" / "train.tsv").read_text().splitlines()
    monkeypatch.setattr(sys, "argv", ["molweight.nlp.run"])
    for index, (line, words) in enumerate(
        [("1\tonly two", "line 3: 2 columns instead of 4"), ("1\ta\tb\tyes", "the label 'yes' is none of")]
    ):
        bad = tmp_path / str(index)
        bad.mkdir()
        (bad / "train.tsv").write_text("\n".join([*lines[:2], line, *lines[3:]]))
        (bad / "dev.tsv").write_text((glue / "RTE" / "dev.tsv").read_text())
        run = f"run_dir={tmp_path / f'run{index}'}"
        assert main([*SMALL, "task=rte", f"task.path={bad}", f"backbone={folder}", run]) == 5
        assert words in capfd.readouterr().err


def test_the_published_settings_compose():
    config = load_config("experiment=paper", "run_dir=x")
    assert config.samples.encoder.name == "FacebookAI/roberta-base"
    assert config.hypergradient_name == "paper" and config.learn.steps == 20000
    assert config.learn.proximal.kind == "l1_encoder" and config.learn.proximal.reduction == "mean"
    assert load_config("backbone=some/encoder", "run_dir=x").samples.encoder.name == "some/encoder"
    with pytest.raises(ConfigError, match="is for text: this backbone has no embeddings"):
        config.learn.proximal.build(1.0).of(["layer1.weight"])
