"""``python -m molweight datasets``: counts against pandas and RDKit, downloads from a server here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold
from servers import serving

from molweight.__main__ import main
from molweight.config import composition, named_specs
from molweight.utils.terminal import columns, printable, shortened

ROOT = Path(__file__).resolve().parents[2]
UNSAID = {"files": [], "targets": None, "sha256": None}  # fields that a card leaves to their defaults
CARDS = {
    path.stem: UNSAID | yaml.safe_load(path.read_text()) for path in (ROOT / "configs/dataset").glob("*.yaml")
}


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """No data sets of the machine: an empty cache, an empty working folder."""
    monkeypatch.delenv("MOLWEIGHT_DATASETS", raising=False)
    monkeypatch.setenv("MOLWEIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def real(moleculenet, monkeypatch):
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(moleculenet))
    return moleculenet


@pytest.fixture
def datasets(capsys):
    """Runs the command; its exit code, standard output and standard error."""

    def run(*arguments):
        code = main(["datasets", *map(str, arguments)])
        out, errors = capsys.readouterr()
        return code, out, errors

    return run


@pytest.fixture
def show(datasets):
    """The content of ``show --json``, which must succeed in silence."""

    def run(*arguments):
        code, out, errors = datasets("show", *arguments, "--json")
        assert (code, errors) == (0, "")
        return json.loads(out)

    return run


def narrow(text):
    """Every line has at most 80 columns, paths excepted: they must be whole to be copied."""
    return all(len(line) <= 80 for line in text.splitlines() if "/" not in line)


# list


def test_list_shows_every_card_and_where_its_file_is(datasets, real):
    code, out, errors = datasets("list")
    assert (code, errors) == (0, "")
    assert narrow(out)
    head, *lines = out.split("\n\n")[0].splitlines()
    assert head.split() == ["name", "task", "targets", "metric", "file"]
    assert [line.split()[0] for line in lines] == sorted(CARDS)
    assert out.rstrip().endswith(f"Files are in {real}")
    here = {file.name for file in real.iterdir()}
    for line in lines:
        card = CARDS[line.split()[0]]
        file = next((name for name in card["files"] if name in here), None)
        targets = "all" if card["targets"] is None else str(len(card["targets"]))
        assert targets in line.split()
        if file is not None:
            assert line.endswith(f"  {file}")
        elif card["files"]:
            assert line.endswith(f"not here: fetch {card['name']}")
    found = {line.split()[0]: line.split()[1:4] for line in lines}
    assert found["tox21"] == ["classification", "12", "roc_auc"]
    assert found["esol"] == ["regression", "1", "rmse"]
    assert found["qm8"] == ["regression", "12", "mae"]


def test_list_reads_no_data_and_numbers_several_folders(datasets, tmp_path, monkeypatch):
    other = tmp_path / "other"
    for place in (other / "esol.csv", tmp_path / "work/datasets/bbbp/bbbp.csv"):
        place.parent.mkdir(parents=True)
        place.write_bytes(b"\xff no table")
    monkeypatch.setenv("MOLWEIGHT_DATASETS", str(other))
    code, out, _ = datasets("list")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    folders = {"bbbp": tmp_path / "work/datasets/bbbp", "esol": other}
    assert code == 0
    for name, folder in folders.items():
        number = re.search(rf"{name}\.csv (\[\d\])$", lines[name])
        assert number is not None, lines[name]
        assert f"  {number.group(1)} {folder}" in out.splitlines()


def test_list_for_machines(datasets, real):
    code, out, _ = datasets("list", "--json")
    listed = {item["name"]: item for item in json.loads(out)}
    assert code == 0
    assert set(listed) == set(CARDS)
    assert listed["esol"]["file"] == str(real / "esol.csv")
    assert (listed["lipo"]["file"], listed["lipo"]["metric"]) == (None, "rmse")
    assert listed["tox21"]["targets"] == CARDS["tox21"]["targets"]


# show: every number is counted again, from the file, by pandas and RDKit


def read(path):
    """The table, its molecules (None = not one) and its labels, all rows."""
    table = pd.read_csv(path)
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(smiles) for smiles in table["smiles"]]
    return table, mols, table.drop(columns=["smiles", "mol_id"], errors="ignore")


def twins(spellings, values):
    """Repeated rows, and those of them that contradict the rows before, by comparing every pair."""
    repeated = conflicting = 0
    frame = pd.DataFrame({"smiles": spellings}).reset_index(drop=True)
    for rows in frame.groupby("smiles").groups.values():
        for i in range(1, len(rows)):
            pairs = values[rows[:i]] - values[rows[i]]  # NaN where either is missing
            repeated += 1
            conflicting += bool((np.nan_to_num(pairs) != 0).any())
    return repeated, conflicting


@pytest.mark.parametrize("name", ["bbbp", "esol", "freesolv", "bace", "tox21"])
def test_rows_duplicates_and_scaffolds_are_counted_right(name, show, real):
    table, mols, labels = read(real / f"{name}.csv")
    valid = [mol is not None for mol in mols]
    used = np.array(valid) & labels.notna().any(axis=1).to_numpy()
    kept = [mol for mol, keep in zip(mols, used, strict=True) if keep]
    found = show(name)
    assert found["n_rows"] == len(table)
    assert found["n_molecules"] == sum(used)
    assert [item["row"] for item in found["not_molecules"]] == [i + 1 for i, ok in enumerate(valid) if not ok]
    assert [item["input"] for item in found["not_molecules"]] == table["smiles"][~np.array(valid)].tolist()
    assert all(item["reason"] for item in found["not_molecules"])
    assert found["n_invalid"] == len(table) - sum(used)
    assert found["n_unlabelled"] == sum(valid) - sum(used)
    values = labels[used].to_numpy(dtype=np.float32)
    spellings = [Chem.MolToSmiles(mol) for mol in kept]
    assert (found["n_duplicates"], found["n_conflicting"]) == twins(spellings, values)
    rings = [mol.GetRingInfo().NumRings() for mol in kept]
    scaffolds = pd.Series([Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(mol)) for mol in kept])
    sizes = scaffolds.value_counts()
    assert found["scaffolds"]["acyclic"] == rings.count(0)
    assert found["scaffolds"]["sets"] == len(sizes)
    assert found["scaffolds"]["largest"] == sizes.max()
    assert sizes[found["scaffolds"]["largest_scaffold"]] == sizes.max()


def test_the_known_duplicates(show, real):
    assert show("bbbp")["n_duplicates"] == 64
    assert show("esol")["n_duplicates"] == 11


def test_class_balance_of_every_target(show, real):
    _, mols, labels = read(real / "toxcast_data.csv.gz")
    labels = labels[[mol is not None for mol in mols]]
    found = {item.pop("name"): item for item in show("toxcast")["targets"]}
    assert list(found) == list(labels.columns)
    assert len(found) == 617
    for name, column in labels.items():
        assert found[name] == {
            "positives": (column == 1).sum(),
            "negatives": (column == 0).sum(),
            "missing": column.isna().sum(),
        }


def test_spread_of_a_regression(show, real):
    labels = pd.read_csv(real / "esol.csv")["logSolubility"]
    (found,) = show("esol")["targets"]
    expected = {"mean": labels.mean(), "std": labels.std(ddof=0), "min": labels.min(), "max": labels.max()}
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-6)  # labels are float32
    assert (found["labelled"], found["missing"]) == (1128, 0)


def test_where_it_is_from(show, real, tmp_path):
    found = show("esol")
    content = (real / "esol.csv").read_bytes()
    assert found["sha256"] == hashlib.sha256(content).hexdigest() == CARDS["esol"]["sha256"]
    assert (found["checksum"], found["files"]) == ("ok", [str(real / "esol.csv")])
    for key in ("source", "licence", "units", "url", "description"):
        assert found[key] == CARDS["esol"][key]
    (tmp_path / "longer.csv").write_bytes(content + b"CCO,0.5\n")
    found = show("esol", "--path", tmp_path / "longer.csv")
    assert (found["checksum"], found["n_rows"]) == ("differs", 1129)


@pytest.mark.parametrize("name", ["bbbp", "esol"])
def test_the_page_says_what_the_json_says(name, datasets, show, real):
    found, (code, out, errors) = show(name), datasets("show", name)
    assert (code, errors) == (0, "")
    assert narrow(out)
    counts = {
        "rows": found["n_rows"],
        "not a molecule": found["n_invalid"] - found["n_unlabelled"],
        "without label": found["n_unlabelled"],
        "used": found["n_molecules"],
        "duplicates": found["n_duplicates"],
        "conflicting": found["n_conflicting"],
        "scaffold sets": found["scaffolds"]["sets"],
        "largest": found["scaffolds"]["largest"],
        "acyclic molecules": found["scaffolds"]["acyclic"],
    }
    for label, count in counts.items():
        assert re.search(rf"^ *{label} +{count:,}\b", out, re.MULTILINE), label
    assert f"{found['sha256']}\n         as its card pins it\n" in out
    assert str(real / f"{name}.csv") in out.split()
    (target,) = found["targets"]
    line = next(line.split() for line in out.splitlines() if line.startswith(target["name"]))
    if name == "bbbp":
        share = target["positives"] / (target["positives"] + target["negatives"])
        expected = [f"{target[key]:,}" for key in ("positives", "negatives", "missing")] + [f"{share:.1%}"]
    else:
        expected = [str(target["missing"]), *(f"{target[key]:.4g}" for key in ("mean", "std", "min", "max"))]
    assert line[1:] == expected


def test_many_targets_are_summed_up(datasets, real, tmp_path):
    part = tmp_path / "part.csv"
    pd.read_csv(real / "toxcast_data.csv.gz").head(2000).to_csv(part, index=False)
    _, mols, labels = read(part)
    labels = labels[[mol is not None for mol in mols]]
    rarer = np.minimum((labels == 1).sum(), (labels == 0).sum())
    code, out, errors = datasets("show", "toxcast", "--path", part)
    assert (code, errors) == (0, "")
    assert narrow(out)
    assert len(out.splitlines()) < 60
    positives = (labels == 1).sum().sort_values()
    expected = [f"{positives.iloc[i]:,}" for i in (0, 308, 616)]
    assert re.search(rf"^  positives +{' +'.join(expected)}$", out, re.MULTILINE)
    blocks = dict(block.split("\n", 1) for block in out.split("\n\n") if "\n" in block)
    shown = [line.split()[0] for line in blocks["fewest labels of the rarer class"].splitlines()[1:]]
    assert sorted(rarer[shown]) == sorted(rarer)[:5]
    shown = [line.split()[0] for line in blocks["most missing labels"].splitlines()[1:]]
    assert sorted(labels[shown].isna().sum()) == sorted(labels.isna().sum())[-5:]
    assert re.search(rf"^  not a molecule +{mols.count(None)}\b", out, re.MULTILINE)
    _, everything, _ = datasets("show", "toxcast", "--path", part, "--all")
    assert narrow(everything)
    last = everything.split("\n\n")[-1].splitlines()
    assert len(last) == 1 + 617


def test_a_series_of_rdkit(show, datasets):
    found = show("chembl2321810")
    files = [Path(path) for path in found["files"]]
    assert [file.name for file in files] == ["CHEMBL2321810.smi", "CHEMBL2321810_act.csv"]
    both = b"".join(file.read_bytes() for file in files)
    assert (found["sha256"], found["checksum"]) == (hashlib.sha256(both).hexdigest(), "no checksum known")
    line = "chembl2321810  no checksum known  comes with RDKit\n"
    assert datasets("verify", "chembl2321810") == (0, line, "")


OWN = (
    "SMILES,name,logD,\x1b[31m=1+1\n"
    "CCO,a,1.5,0\n"
    "c1ccccc1,b,2.5,\n"
    "C1CC,c,0.5,1\n"
    "CC,d,,\n"
    "OCC,e,1.75,1\n"
    '"C\x1b[2J",f,3.5,1\n'
    '"C\n\u202eC",g,3.5,1\n'
)


def test_your_own_table(show, datasets, tmp_path):
    path = tmp_path / "my data.csv"
    path.write_text(OWN)
    found = show(path, "--smiles-column", "SMILES", "--targets", "logD")
    assert (found["task_type"], found["metric"], found["checksum"]) == (
        "regression",
        "rmse",
        "no checksum known",
    )
    assert (found["n_rows"], found["n_invalid"], found["n_unlabelled"]) == (7, 4, 1)
    assert [item["row"] for item in found["not_molecules"]] == [3, 6, 7]
    assert (found["n_duplicates"], found["n_conflicting"]) == (1, 1)
    assert found["scaffolds"] == {"sets": 2, "largest": 2, "largest_scaffold": "", "acyclic": 2}
    assert show("csv", "--path", path, "--smiles-column", "SMILES", "--targets", "logD") == found
    code, out, errors = datasets("show", path, "--targets", "logD")
    assert (code, errors) == (0, "")
    assert out.startswith("my data.csv\n")
    assert "licence" not in out
    assert re.search(r"^  not a molecule +3\n  without label +1\n  used +3$", out, re.MULTILINE)


def test_what_a_terminal_would_obey_is_escaped(datasets, tmp_path):
    path = tmp_path / "my.csv"
    path.write_text(OWN)
    for arguments in ([path], [path, "--json"], [path, "--targets", "\x1b[5mx"]):
        code, out, errors = datasets("show", *arguments)
        assert code == (5 if "--targets" in arguments else 0)
        assert set(re.findall(r"[^ -~]", out + errors)) <= {"\n"}
    _, out, _ = datasets("show", path)
    for escaped in (r"\x1b[31m=1+1", r"'C\x1b[2J'", r"'C\n\u202eC'"):
        assert escaped in out
    assert printable("F/C=C\\F é\t") == "F/C=C\\F é\\t"
    assert shortened("\x1b" * 9, 10) == "\\x1b\\x1..."
    assert columns([("a", 1000), ("bcd", 5)], align="<>") == ["a    1,000", "bcd      5"]


def test_targets_without_labels_or_with_one_class(datasets, tmp_path):
    names = [f"t{i}" for i in range(22)]  # more than fit on the page
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([",".join(["smiles", *names]), "C,,1" + ",1" * 20, "CC,,1" + ",0" * 20]))
    code, out, _ = datasets("show", path)
    assert (code, narrow(out)) == (0, True)
    assert "\nwithout both classes: 2\n" in out
    assert "without any label, not counted above: 1" in out
    path.write_text(path.read_text() + "\nCCC,,2" + ",2.5" * 20)
    code, out, _ = datasets("show", path, "--json")
    assert (code, json.loads(out)["targets"][0]["mean"]) == (0, None)
    assert datasets("show", path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "tox22"], 2, ["unknown dataset 'tox22'", "Did you mean 'tox21'?"]),
        (["fetch", "esol", "bbpb"], 2, ["unknown dataset 'bbpb'", "'bbbp'"]),
        (["verify", "qm10"], 2, ["unknown dataset"]),
        (["fetch"], 2, ["--all"]),
        (["verify", "esol", "--all"], 2, ["either", "--all"]),
        (["fetch", "--all", "--sha256", "0" * 64], 2, ["one data set"]),
        (["fetch", "lipo", "--sha256", "abc"], 2, ["64 hexadecimal digits"]),
        (["show", "csv"], 2, ["--path="]),
        (
            ["show", "esol", "--task-type", "clasification"],
            2,
            ["--task-type", "Did you mean 'classification'"],
        ),
        (["show", "a.csv", "--path", "b.csv"], 2, ["leave out --path=b.csv"]),
        (["show", "no/such.csv"], 5, ["no/such.csv is not a file"]),
        (["show", "esol"], 5, ["'esol' is not here", "datasets fetch esol", "--path="]),
        (["fetch", "clintox"], 5, ["datasets/clintox.csv.gz (or in"]),
        (["fetch", "lipo"], 5, ["'lipo'", "no checksum", CARDS["lipo"]["url"], "--sha256="]),
    ],
)
def test_wrong_input_is_one_sentence_with_its_exit_code(arguments, code, words, datasets):
    found, out, errors = datasets(*arguments)
    assert (found, out) == (code, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("molweight: ")
    for word in words:
        assert word in errors


def test_a_folder_that_is_missing_is_said_once(datasets, monkeypatch):
    monkeypatch.setenv("MOLWEIGHT_DATASETS", "absent")
    for action in (["list"], ["verify", "--all"], ["fetch", "--all"]):
        code, out, errors = datasets(*action)
        assert (code, out, errors.count("which is not a folder")) == (5, "", 1)


# fetch and verify


class Here(SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def served(moleculenet, tmp_path, monkeypatch):
    """A server of real files, and cards with their addresses there."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Here, directory=folder))
    server.daemon_threads, server.folder, server.asked = True, folder, []
    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs" / "dataset", configs / "dataset")
    for name, pinned in (("esol", True), ("freesolv", True), ("lipo", False)):
        file = "freesolv.csv" if name == "lipo" else f"{name}.csv"
        content = (moleculenet / file).read_bytes()
        served = "Lipophilicity.csv" if name == "lipo" else file
        (folder / served).write_bytes(content)
        address = f"http://127.0.0.1:{server.server_address[1]}/{served}"
        sha256 = hashlib.sha256(content).hexdigest() if pinned else None
        card = CARDS[name] | {"url": address, "sha256": sha256}
        (configs / "dataset" / f"{name}.yaml").write_text(yaml.safe_dump(card))
    for module in (composition, named_specs):
        monkeypatch.setattr(module, "config_dir", lambda: configs)
    yield from serving(server)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "datasets"


def test_fetch_downloads_once_and_show_finds_it(datasets, show, served, cache):
    path = cache / "esol.csv"
    assert datasets("fetch", "esol", "esol") == (0, f"esol: fetched, {path}\n", "")
    assert path.read_bytes() == (served.folder / "esol.csv").read_bytes()
    assert datasets("fetch", "esol") == (0, f"esol: already here, {path}\n", "")
    assert served.asked == ["/esol.csv"]
    assert datasets("verify", "esol") == (0, f"esol  ok  esol.csv\n\nFiles are in {cache}\n", "")
    assert (show("esol")["n_rows"], show("esol")["files"]) == (1128, [str(path)])


def test_a_spoilt_file_in_the_cache_is_found_and_fetched_again(datasets, served, cache):
    datasets("fetch", "esol")
    good = (cache / "esol.csv").read_bytes()
    (cache / "esol.csv").write_bytes(good[:-100])
    code, out, errors = datasets("verify", "esol", "freesolv")
    assert code == 5
    assert [line.split()[:2] for line in out.splitlines()[:2]] == [["esol", "differs"], ["freesolv", "not"]]
    (sentence,) = errors.splitlines()
    for part in (hashlib.sha256(good[:-100]).hexdigest(), hashlib.sha256(good).hexdigest()):
        assert part in sentence
    assert "run `python -m molweight datasets fetch esol`" in sentence
    assert "move it away" not in sentence
    assert datasets("fetch", "esol")[:2] == (0, f"esol: fetched, {cache / 'esol.csv'}\n")
    assert (cache / "esol.csv").read_bytes() == good
    assert datasets("verify", "esol")[0] == 0


def test_a_file_of_the_user_is_never_replaced(datasets, served, tmp_path):
    own = tmp_path / "work" / "datasets" / "esol.csv"
    own.parent.mkdir()
    own.write_text("smiles,logSolubility\nC,1\nCC,2\n")
    for action in ("verify", "fetch"):
        code, _, errors = datasets(action, "esol")
        assert (code, errors.count("move it away")) == (5, 1)
    assert own.read_text().startswith("smiles,logSolubility\nC,1\n")
    assert served.asked == []


def test_one_that_cannot_be_fetched_does_not_stop_the_next(datasets, served, cache):
    content = (served.folder / "esol.csv").read_bytes()
    (served.folder / "esol.csv").write_bytes(content + b"\n")
    code, out, errors = datasets("fetch", "esol", "lipo", "freesolv")
    assert (code, out) == (5, f"freesolv: fetched, {cache / 'freesolv.csv'}\n")
    first, second = errors.splitlines()
    assert first.startswith("molweight: ") and CARDS["esol"]["sha256"] in first
    assert "no checksum is pinned" in second
    assert [file.name for file in cache.iterdir()] == ["freesolv.csv"]
    (served.folder / "esol.csv").unlink()
    code, out, errors = datasets("fetch", "esol")
    assert (code, out, "404" in errors) == (5, "", True)


def test_a_checksum_of_your_own_makes_it_fetchable(datasets, served, cache):
    sha256 = hashlib.sha256((served.folder / "Lipophilicity.csv").read_bytes()).hexdigest()
    assert datasets("fetch", "lipo", "--sha256", sha256)[:2] == (
        0,
        f"lipo: fetched, {cache / 'Lipophilicity.csv'}\n",
    )
    code, out, _ = datasets("verify", "lipo")
    assert (code, out.splitlines()[0]) == (0, "lipo  no checksum known  Lipophilicity.csv")


def test_all_of_them_are_verified(datasets, real):
    code, out, errors = datasets("verify", "--all")
    assert (code, errors, narrow(out)) == (0, "", True)
    states = {line.split()[0]: line for line in out.split("\n\n")[0].splitlines()}
    assert set(states) == set(CARDS) - {"csv"}
    for name, line in states.items():
        present = [real / file for file in CARDS[name]["files"] if (real / file).is_file()]
        if present:
            digest = hashlib.sha256(present[0].read_bytes()).hexdigest()
            assert (" ok " in line) == (digest == CARDS[name]["sha256"])
        elif CARDS[name]["files"]:
            assert line.endswith("not here")


def test_a_file_that_cannot_be_read(datasets, real, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("molweight.data.checksums.sha256_file", refused)
    code, out, errors = datasets("verify", "esol")
    assert (code, out) == (5, "esol  unreadable\n")
    assert errors == f"molweight: could not read {real / 'esol.csv'}: Permission denied\n"


def test_an_interrupt_is_130(datasets, served, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("molweight.data.locate.download", interrupted)
    assert datasets("fetch", "esol") == (130, "", "molweight: interrupted\n")


# as a process


def process(*arguments, **environment):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "molweight", "datasets", *map(str, arguments)],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_pipe_that_closes_early_is_no_error():
    running = process("list")
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()  # as head does, and long before anything is written
    with running.stderr:
        assert running.stderr.read() == b""
    assert running.wait() == 0


def test_an_output_that_knows_ascii_alone(tmp_path):
    (tmp_path / "my.csv").write_text("smiles,Löslichkeit\nC,1\nCC,2.5\n", encoding="utf-8")
    running = process("show", tmp_path / "my.csv", PYTHONIOENCODING="ascii")
    out, errors = running.communicate()
    assert (running.returncode, errors) == (0, b"")
    assert rb"L\xf6slichkeit" in out
