"""Many strings to many pictures: in order, from any number of processes, whatever the strings do to them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from molweight.data.results import RenderResult
from molweight.data.smiles import canonical
from molweight.errors import ConfigError, DataError
from molweight.images import drawing_processes as module
from molweight.images.drawing import compress, decompress, draw
from molweight.images.drawing_processes import draw_all
from molweight.images.render import render

SIZE = 32
# A drawing process to which three strings do what a bug in a native library would.
TREACHEROUS = """
import json, os, sys, time
sys.path[:] = json.loads(sys.argv[1])
from molweight.images import drawing_processes as drawing
honest = drawing.draw
def draw(text, size, *, canonicalise, standardise):
    if text == "OCC": time.sleep(600)
    if text == "NCC": os._exit(11)
    if text == "SCC": os.kill(os.getpid(), 9)
    return honest(text, size, canonicalise=canonicalise)
drawing.draw = draw
drawing.serve(**json.loads(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def molecules(moleculenet: Path) -> list[str]:
    """60 SMILES as they stand in BACE and Tox21: large and chiral, salts and metals."""
    found = []
    for name, column in (("bace", "smiles"), ("tox21", "smiles")):
        raw = pd.read_csv(moleculenet / f"{name}.csv")[column]
        found += raw.iloc[:: len(raw) // 30].head(30).tolist()
    return found


def pixels(drawn: RenderResult) -> np.ndarray:
    out = np.empty((3, SIZE, SIZE), dtype=np.uint8)
    decompress(drawn.frame, out)
    return out.transpose(1, 2, 0)


@pytest.mark.parametrize(("workers", "chunk"), [(1, 64), (2, 7), (2, 30), (3, 1)])
def test_every_string_becomes_its_own_picture_in_order(
    molecules: list[str], workers: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    some = molecules if chunk > 1 else molecules[:9]
    drawn = list(draw_all(some, SIZE, canonicalise=True, workers=workers))
    assert len({one.frame for one in drawn}) > len(some) // 2, "the order must be visible"
    for text, one in zip(some, drawn, strict=True):
        assert (one.status, one.smiles) == ("ok", canonical(text))
        np.testing.assert_array_equal(pixels(one), render(canonical(text), SIZE), err_msg=text)


def test_strings_may_be_drawn_as_they_are_spelled() -> None:
    (one,) = draw_all(["OCC"], SIZE, canonicalise=False, workers=1)
    assert one.smiles == "OCC"
    np.testing.assert_array_equal(pixels(one), render("OCC", SIZE))
    assert (pixels(one) != render("CCO", SIZE)).any(), "the spelling must be visible"


def test_strings_that_are_no_molecule_have_a_reason_and_shift_nothing() -> None:
    texts = ["CC", "C(C)(C)(C)(C)C", "", "CCC", "xyz", "C" * 501, "C" * 5_001, "CCCC", "C\x00C", "C\nC"]
    drawn = list(draw_all(texts, SIZE, canonicalise=True, workers=2))
    assert [one.status for one in drawn] == [
        *("ok", "invalid", "invalid", "ok", "invalid", "unsupported", "unsupported", "ok"),
        *("invalid", "invalid"),
    ]
    assert [one.reason for one in drawn][4:7] == [
        "not a SMILES string",
        "501 heavy atoms, at most 500 are drawn",
        "5,001 characters, at most 5,000 are read",
    ]
    assert [one.smiles for one in drawn if one.status == "ok"] == ["CC", "CCC", "CCCC"]
    assert all(bool(one.reason) != bool(one.frame) for one in drawn)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_molecule_that_hangs_or_crashes_is_unsupported_and_takes_nothing_with_it(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHILD", TREACHEROUS)
    texts = ["CC", "OCC", "CCC", "NCC", "SCC", "CCCC", "OCC"]
    drawn = list(draw_all(texts, SIZE, canonicalise=True, workers=workers, seconds=1.0))
    assert [one.reason for one in drawn] == [
        *("", "took longer than 1 s to draw", "", "ended the process that drew it (code 11)"),
        *("ended the process that drew it (code -9)", "", "took longer than 1 s to draw"),
    ]
    assert [one.status for one in drawn if one.reason] == ["unsupported"] * 4
    assert [one.smiles for one in drawn if not one.reason] == ["CC", "CCC", "CCCC"]


def test_processes_that_are_killed_from_outside_cost_no_molecule(
    molecules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a system does that is short of memory; where the same molecule ends two, it is to blame."""
    monkeypatch.setattr(module, "CHUNK", 10)
    children: list[Any] = []
    started = subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        children.append(started(*args, **options))
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    drawn, killed = [], []
    for one in draw_all(molecules, SIZE, canonicalise=True, workers=2):
        drawn.append(one)
        if len(drawn) == 5:
            killed = list(children)
            for child in killed:
                child.kill()
    assert len(children) > len(killed) > 0, "replaced"
    assert drawn == [draw(text, SIZE, canonicalise=True) for text in molecules]


def test_a_process_that_is_killed_at_its_start_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Any] = []
    started = subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        children.append(started(*args, **options))
        if len(children) < 3:
            children[-1].kill()
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    (drawn,) = draw_all(["CCO"], SIZE, canonicalise=True, workers=1)
    assert drawn == draw("CCO", SIZE, canonicalise=True) and len(children) == 3


def test_a_process_that_is_killed_at_every_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(DataError, match=r"ended with code -11 at its start; does `.*` work"):
        list(draw_all(["C", "CC"], SIZE, canonicalise=True, workers=2))


def test_a_process_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHILD", "import sys; sys.exit(9)")
    with pytest.raises(DataError, match=r"ended with code 9 at its start; does `.*` work"):
        list(draw_all(["C", "CC"], SIZE, canonicalise=True, workers=2))


def test_a_process_that_is_never_ready_is_not_blamed_on_its_molecule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHILD", "import time; time.sleep(600)")
    monkeypatch.setattr(module, "STARTING", 0.5)
    with pytest.raises(DataError, match=r"was not ready after 0\.5 s"):
        list(draw_all(["C", "CC"], SIZE, canonicalise=True, workers=1))


def hostile(count: int) -> list[str]:
    """Strings that a table may hold and no parser expects."""
    generator = random.Random(0)
    alphabet = "CNOPSFIBrcln123456789%()[]=#@+-/\\.*:$&~{}<>|;,'\" \t\x00\x07\x1b\u202e😀é中"
    seeds = ["CC(=O)Oc1ccccc1C(=O)O", "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "c1ccc2ccccc2c1"]
    found = ["", " ", "=1+1", "@SUM(A1)", "*", "*C*", "nan", "null", "C" * 100_000, "(" * 4_000, "[" * 4_000]
    found += ["C1" + "C" * 300 + "1", "C%99" * 90, "c1" * 200, "[999U+9999]", "[C-99999999999]", "C:::C"]
    while len(found) < count:
        if generator.random() < 0.5:
            found.append("".join(generator.choices(alphabet, k=generator.randrange(1, 60))))
        else:
            letters = list(generator.choice(seeds))
            for _ in range(generator.randrange(3)):
                letters[generator.randrange(len(letters))] = generator.choice(alphabet)
            found.append("".join(letters))
    return found


def test_hostile_strings_are_all_accounted_for() -> None:
    texts = hostile(600)
    drawn = list(draw_all(texts, SIZE, canonicalise=True, workers=2, seconds=20))
    assert len(drawn) == len(texts)
    counts = {status: sum(one.status == status for one in drawn) for status in ("ok", "invalid")}
    assert counts["ok"] > 20 and counts["invalid"] > 200
    for text, one in zip(texts, drawn, strict=True):
        again = draw(text, SIZE, canonicalise=True)
        assert (one.status, one.smiles) == (again.status, again.smiles), text


def test_strings_are_read_as_needed_and_processes_end_with_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    children: list[Any] = []
    started = subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        children.append(started(*args, **options))
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(module, "CHUNK", 5)
    asked: list[int] = []

    def texts() -> Any:
        for count in range(1_000):
            asked.append(count)
            yield "C" * (1 + count % 20)

    stream = draw_all(texts(), SIZE, canonicalise=True, workers=2)
    assert next(stream).smiles == "C"
    assert len(asked) <= 5 * (2 * 2 + 2)
    stream.close()  # type: ignore[attr-defined]
    assert 0 < len(children) <= 2 and all(child.wait(timeout=10) is not None for child in children)


def test_a_process_ends_when_its_caller_is_gone() -> None:
    command = [module.sys.executable, "-c", module.CHILD, json.dumps(module.sys.path)]
    options = json.dumps({"size": SIZE, "canonicalise": True, "seconds": 5, "standardise": {}})
    child = subprocess.Popen([*command, options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    answer, _ = child.communicate(b'["C"]\n', timeout=60)
    ready, head, _ = answer.split(b"\n", 2)
    assert child.returncode == 0 and ready == b"ready" and json.loads(head)[0] == "ok"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers must be at least 1, found 0"),
        ({"seconds": 0.0}, "the time limit must be > 0 s"),
        ({"size": 8}, "the picture size must lie in 16..2048 px, found 8"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_drawn(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        draw_all(["C"], options.pop("size", SIZE), canonicalise=True, **options)


@pytest.mark.parametrize("frame", [b"", b"not zstd", compress(np.zeros((3, 16, 16), np.uint8))])
def test_a_damaged_frame_is_an_error(frame: bytes) -> None:
    with pytest.raises(DataError, match="a damaged picture"):
        decompress(frame, np.empty((3, SIZE, SIZE), np.uint8))


def test_a_drawing_process_whose_caller_is_gone_ends_without_a_word():
    program = "from molweight.images.drawing_processes import serve; serve(32, True, 5.0, {})"
    command = [sys.executable, "-c", program]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b'["CCO"]\n' * 50)
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait() == 0
