"""Whole runs under torchrun: one process changes nothing, two give what one gives, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from molweight import load_config
from molweight.errors import ConfigError
from molweight.methods.registry import parse_method
from molweight.methods.run_directory import RunDirectory
from tests.several_processes import ROOT, environments, free_port
from tests.smallest import SMALLEST, run_smallest

OPTIONS = ("finetune.dropout=0", "threads=1", "workers=0")  # dropout is drawn by every process for itself
# Sums in another order differ in the last digits. Adam at its usual rates makes whole steps of that, also of
# a gradient that is next to nothing; at these it stays below 2e-5 for losses and 1e-3 for weights.
GENTLE = (
    *("learn.pretrain.lr=1e-5", "learn.pretrain.head_lr=3e-4", "learn.finetune.lr=3e-5"),
    *("learn.finetune.head_lr=3e-4", "finetune.optimiser.lr=1e-4"),
)
LOSS, WEIGHT = 2e-4, 1e-2
METHODS = (  # random_search compares trials that are all but equal here, and may choose another one
    *("scratch", "direct", "equal", "single:jigsaw", "uncertainty", "dwa", "gradnorm", "mgda", "pcgrad"),
    *("upgrad", "bilevel"),
)
REPEATED = (
    "predictions.csv",
    "model.json",
    "splits.json",
    "training.smi",
    "excluded.csv",
    "excluded_corpus.csv",
)


def torchrun(count, folder, *options):
    """Start ``torchrun --nproc_per_node COUNT -m molweight.run`` at the smallest size."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    command = [*launcher, "--master_port", str(free_port()), "-m", "molweight.run", *SMALLEST, *OPTIONS]
    return subprocess.Popen(
        [*command, *options, f"run_dir={folder}"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def finished(process):
    """What a run says that must end well."""
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said
    return said


def steps(folder):
    """The records, without their times."""
    lines = (folder / "steps.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def same_bits(one, other):
    """Whether two runs have learned the same."""
    assert steps(one) == steps(other)
    for name in ("backbone.safetensors", "model.safetensors", *REPEATED):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run without torchrun."""
    return run_smallest(tmp_path_factory.mktemp("alone") / "run", *OPTIONS, *GENTLE)


def test_one_process_under_torchrun_gives_the_same_bits(alone, tmp_path):
    finished(torchrun(1, tmp_path / "run", *GENTLE))
    same_bits(alone, tmp_path / "run")


def test_two_processes_give_what_one_gives(alone, tmp_path):
    said = finished(torchrun(2, tmp_path / "run", *GENTLE))
    assert said.count("test RMSE") == 1 and said.count("run directory") == 1 and "Warning" not in said
    written = {path.name for path in (tmp_path / "run").iterdir()} - {".lock", "report.html"}
    assert written == {path.name for path in alone.iterdir()} - {".lock", "report.html"}
    for mine, theirs in zip(steps(tmp_path / "run"), steps(alone), strict=True):
        assert mine["weights"] == pytest.approx(theirs["weights"], rel=WEIGHT)
        assert mine["losses"] == pytest.approx(theirs["losses"], rel=LOSS)
        assert mine["finetune_loss"] == pytest.approx(theirs["finetune_loss"], rel=LOSS)
    reports = [json.loads((folder / "report.json").read_text()) for folder in (tmp_path / "run", alone)]
    assert reports[0]["test"] == pytest.approx(reports[1]["test"], rel=5e-3)
    assert [report["machine"]["processes"] for report in reports] == [2, 1]
    assert reports[0]["config_hash"] == reports[1]["config_hash"]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_give_what_one_gives_by_every_method(tmp_path, method):
    options = (*GENTLE, f"method={method}")
    one = run_smallest(tmp_path / "one", *OPTIONS, *options)
    finished(torchrun(2, tmp_path / "two", *options))
    if parse_method(method).pretrains:
        for mine, theirs in zip(steps(tmp_path / "two"), steps(one), strict=True):
            assert mine["weights"] == pytest.approx(theirs["weights"], rel=WEIGHT)
            assert mine["losses"] == pytest.approx(theirs["losses"], rel=LOSS)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[1]["test"] == pytest.approx(reports[0]["test"], rel=5e-3)


def test_a_failure_of_the_process_that_leads_ends_all_at_once(alone):
    command = [sys.executable, "-m", "molweight.run", *SMALLEST, *OPTIONS, *GENTLE]
    started = [
        subprocess.Popen(
            [*command, f"run_dir={alone}"],
            cwd=ROOT,
            env=env,
            text=True,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for env in environments(2)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert "holds a finished run" in said[0][1] and said[1] == ("", "")


def test_another_number_of_processes_is_refused(tmp_path):
    config = load_config(f"run_dir={tmp_path / 'run'}")
    directory = RunDirectory(config.run_dir)
    directory.path.mkdir()
    before = {"state": "interrupted", "config_hash": config.hash, "processes": 4}
    (directory.path / "status.json").write_text(json.dumps(before))
    with pytest.raises(ConfigError, match=r"run of 4 process.*this one has 1.*nproc_per_node 4"):
        directory.open(config.text, config.hash)
    assert json.loads((directory.path / "status.json").read_text()) == before


def test_batches_that_cannot_be_shared_are_refused(tmp_path):
    process = torchrun(2, tmp_path / "run", "learn.batch_size.pretrain=33")
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "batches of 33 samples (level 'pretrain'" in said
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


LONGER = ("learn.steps=12", "learn.checkpoint_every=1")


def after_steps(process, folder, count):
    """Wait until a run has recorded some steps."""
    for _ in range(2400):
        assert process.poll() is None, process.communicate()[0]
        if (folder / "steps.jsonl").exists() and len(steps(folder)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the run made no steps")


def workers_of(process):
    """Process numbers of what torchrun has started."""
    return subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    finished(torchrun(2, folder, *LONGER))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_saves_and_the_run_continues_with_the_same_bits(uninterrupted, tmp_path, number):
    process = torchrun(2, tmp_path / "run", *LONGER)
    after_steps(process, tmp_path / "run", 4)
    process.send_signal(number)
    process.communicate(timeout=120)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "interrupted" and len(steps(tmp_path / "run")) < 12
    finished(torchrun(2, tmp_path / "run", *LONGER))
    same_bits(uninterrupted, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_run_and_it_continues_with_the_same_bits(uninterrupted, tmp_path, rank):
    process = torchrun(2, tmp_path / "run", *LONGER)
    after_steps(process, tmp_path / "run", 4)
    os.kill(int(workers_of(process)[rank]), signal.SIGKILL)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    if rank == 1:
        status = json.loads((tmp_path / "run" / "status.json").read_text())
        assert status["state"] in ("failed", "interrupted") and "traceback" not in status, said
    finished(torchrun(2, tmp_path / "run", *LONGER))
    same_bits(uninterrupted, tmp_path / "run")


@pytest.mark.slow
def test_dropout_and_statistics_of_each_process_continue_with_the_same_bits(tmp_path):
    options = ("sync_batchnorm=false", "finetune.dropout=0.3", "hypergradient=accurate", *LONGER)
    finished(torchrun(2, tmp_path / "whole", *options))
    process = torchrun(2, tmp_path / "run", *options)
    after_steps(process, tmp_path / "run", 5)
    process.terminate()
    process.communicate(timeout=120)
    finished(torchrun(2, tmp_path / "run", *options))
    same_bits(tmp_path / "whole", tmp_path / "run")
