"""The wheel, installed into an empty environment, runs the whole job from somewhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from smallest import SMALLEST

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("molweight", "configs", "pyproject.toml", "README.md", "LICENSE")
SMALL = (
    *SMALLEST,
    "threads=1",
    *("learn.steps=2", "learn.batch_size.pretrain=32", "finetune.epochs=2"),
)


def run(*command, cwd):
    """A command's output; outside the checkout, and without its path."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is written into the checkout."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        assert source.exists(), f"{name} belongs into the wheel or its metadata and is missing"
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, copy, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a new environment: the wheel's own files, and borrowed dependencies."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", where, cwd=place).strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # A folder named in a .pth file is only searched: an editable install's own .pth in there is not read.
    (packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in sorted(borrowed)))
    return python


def test_the_wheel_holds_the_package_and_its_configuration(wheel):
    found = set(zipfile.ZipFile(wheel).namelist())
    for folder, prefix in (("molweight", "molweight"), ("configs", "molweight/configs")):
        files = [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".yaml", ".md", ".safetensors")]
        expected = {f"{prefix}/{p.relative_to(ROOT / folder).as_posix()}" for p in files}
        assert expected and expected <= found, expected - found
    foreign = {name.split("/")[0] for name in found} - {"molweight"}
    assert all(name.endswith(".dist-info") for name in foreign), foreign
    assert not [name for name in found if "__pycache__" in name or name.endswith(".csv")]


def test_the_installed_package_is_the_one_that_is_imported(python, tmp_path):
    code = (
        "import molweight, molweight.config.composition as c, importlib.metadata as m; "
        "print(molweight.__file__, c.config_dir(), m.version('molweight'), sep='\\n')"
    )
    package, configs, version = run(python, "-c", code, cwd=tmp_path).splitlines()
    environment = python.parents[1].resolve()
    assert Path(package).resolve().is_relative_to(environment)
    assert Path(configs).resolve() == Path(package).resolve().parent / "configs"
    assert (Path(configs) / "config.yaml").is_file()
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()


def test_the_installed_package_runs_the_whole_job(python, tmp_path):
    run(python, "-m", "molweight.run", *SMALL, "run_dir=out", cwd=tmp_path)
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "ok"
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["test_evaluations"] == 1 and sum(report["weights"].values()) == pytest.approx(1)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
