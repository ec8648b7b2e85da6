"""Where pictures could be kept by molecule: segments (chosen), LMDB, sqlite; and the store of version 0.1.

    python -m benchmarks.molecule_cache [--revision 66b1cce] [--million 1000000]

Processor seconds, the variants alternating in one run; ratios to the segments, medians of the rounds. The
records are real drawings, each ten times under different keys, so that 20,000 molecules need not be drawn.
Every variant checks every record with CRC-32, as the segments do. LMDB needs the extra `bench`. The store of
version 0.1, which was keyed by the list of SMILES, is read from the repository's history by `--revision`.
Exit code 1 when a batch from the segments takes 10 % longer than one from the store of version 0.1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import optional, sample
from molweight.data.cache import CachedRecords, text_keys
from molweight.data.results import RenderResult
from molweight.data.segments import Record
from molweight.images.drawing import compress, decompress
from molweight.images.drawing_processes import draw_all
from molweight.utils.files import write_text

DRAWN, COPIES, BATCH, ROUNDS = 2_000, 10, 128, 5
Values = Callable[[np.ndarray], Iterator[Any]]
ROOT = Path(__file__).parents[1]


def segments(folder: Path, texts: Sequence[str], records: Sequence[Record]) -> Values:
    """The cache of the package."""
    by_text = dict(zip(texts, records, strict=True)) if records else {}
    return CachedRecords(texts, folder, {}, lambda some: (by_text[one] for one in some), what="values").values


def sqlite(folder: Path, texts: Sequence[str], records: Sequence[Record], *, wal: bool) -> Values:
    """A table of BLOBs in the standard library's database, built 4,096 rows a transaction."""
    folder.mkdir(exist_ok=True)
    database = sqlite3.connect(folder / "values.sqlite", isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    database.execute("CREATE TABLE IF NOT EXISTS v (key BLOB PRIMARY KEY, crc INTEGER, value BLOB)")
    keys = [bytes(key).ljust(16, b"\0") for key in text_keys(texts, {})]
    for start in range(0, len(records), 4_096):
        rows = zip(keys[start : start + 4_096], records[start : start + 4_096], strict=True)
        database.execute("BEGIN")
        database.executemany("INSERT INTO v VALUES (?, ?, ?)", ((k, zlib.crc32(v), v) for k, (_, v) in rows))
        database.execute("COMMIT")
    present = "SELECT 1 FROM v WHERE key = ?"
    assert all(database.execute(present, (key,)).fetchone() for key in keys)

    def values(indices: np.ndarray) -> Iterator[bytes]:
        database.execute("BEGIN")
        for index in indices.tolist():
            crc, value = database.execute("SELECT crc, value FROM v WHERE key = ?", (keys[index],)).fetchone()
            assert zlib.crc32(value) == crc
            yield value
        database.execute("COMMIT")

    return values


def lmdb(folder: Path, texts: Sequence[str], records: Sequence[Record]) -> Values:
    """The memory-mapped B-tree, built 4,096 rows a transaction."""
    module = optional("lmdb")
    database = module.open(str(folder), map_size=1 << 33, readahead=False)
    keys = [bytes(key).ljust(16, b"\0") for key in text_keys(texts, {})]
    for start in range(0, len(records), 4_096):
        with database.begin(write=True) as transaction:
            for key, (_, value) in zip(
                keys[start : start + 4_096], records[start : start + 4_096], strict=True
            ):
                transaction.put(key, zlib.crc32(value).to_bytes(4, "little") + value)
    with database.begin() as transaction, transaction.cursor() as cursor:
        assert all(cursor.set_key(key) for key in keys)

    def values(indices: np.ndarray) -> Iterator[memoryview]:
        with database.begin(buffers=True) as transaction:
            for index in indices.tolist():
                content = transaction.get(keys[index])
                value = content[4:]
                assert zlib.crc32(value) == int.from_bytes(content[:4], "little")
                yield value

    return values


def version_0_1(folder: Path, texts: Sequence[str], records: Sequence[Record], *, revision: str) -> Values:
    """The store that was keyed by the list of SMILES, from the repository's history."""
    modules = {}
    for name in ("shards", "store"):
        show = ["git", "show", f"{revision}:molweight/images/{name}.py"]
        text = subprocess.run(show, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        text = text.replace("molweight.images.shards", "old_shards")
        path = Path(tempfile.mkdtemp()) / f"old_{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(f"old_{name}", path)
        assert spec is not None and spec.loader is not None
        modules[name] = sys.modules[f"old_{name}"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    old: Any = modules["store"]
    by_text = dict(zip(texts, records, strict=True)) if records else {}
    old.draw_all = lambda chunk, *_, **__: (RenderResult("ok", "", t, by_text[t].value) for t in chunk)
    store = old.build_store(texts, old.Recipe(size=64, canonicalise=False), folder)

    def values(indices: np.ndarray) -> Iterator[Any]:  # PictureStore.read and Shard.read
        places = np.searchsorted(store.starts, indices, side="right") - 1
        for place, index in zip(places.tolist(), indices.tolist(), strict=True):
            shard, row = store.shards[place], index - int(store.starts[place])
            assert shard.status[row] == 0
            frame = shard.frames[int(shard.offsets[row]) : int(shard.offsets[row + 1])]
            assert zlib.crc32(frame.data) == shard.crc[row]
            yield frame.data

    return values


def variants(revision: str | None) -> dict[str, Callable[..., Values]]:
    """What is compared."""
    chosen: dict[str, Callable[..., Values]] = {"segments": segments}
    if optional("lmdb"):
        chosen["LMDB"] = lmdb
    chosen |= {
        "sqlite, WAL": partial(sqlite, wal=True),
        "sqlite, rollback journal": partial(sqlite, wal=False),
    }
    if revision:
        chosen["store of version 0.1"] = partial(version_0_1, revision=revision)
    return chosen


def read(values: Values, count: int, size: int, batches: int, seed: int) -> float:
    """Processor seconds of random batches, decompressed."""
    generator = np.random.default_rng(seed)
    out = np.empty((BATCH, 3, size, size), dtype=np.uint8)
    start = time.process_time()
    for _ in range(batches):
        for picture, frame in zip(out, values(generator.integers(count, size=BATCH)), strict=True):
            decompress(frame, picture)
    return time.process_time() - start


def memory() -> dict[str, float]:
    """MB resident in this process, and of it those that are no pages of files."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"resident": kilobytes["Rss"] / 1024, "own": kilobytes["Anonymous"] / 1024}


def reader(options: argparse.Namespace) -> None:
    """The body of a process that only reads: prints its processor seconds and how its memory grew."""
    texts = texts_of(options.count)
    before = memory()
    start = time.process_time()
    values = variants(options.revision)[options.reader](options.folder, texts, [])
    opened = time.process_time() - start
    seconds = read(values, options.count, options.size, options.batches, options.seed)
    after = memory()
    growth = {name: after[name] - before[name] for name in before}
    print(json.dumps({"open": opened, "read": seconds} | growth), flush=True)


def texts_of(count: int) -> list[str]:
    """As many different strings of a SMILES' length."""
    return [f"CC(=O)Oc1ccccc1C(=O)NCCCCN{index:09d}" for index in range(count)]


def processes(number: int, name: str, folder: Path, options: argparse.Namespace, **numbers: int) -> list[Any]:
    """What readers print that run at the same time."""
    command = [sys.executable, "-m", "benchmarks.molecule_cache", "--reader", name, "--folder", str(folder)]
    command += [part for key, value in numbers.items() for part in (f"--{key}", str(value))]
    command += ["--revision", options.revision] if options.revision else []
    running = [
        subprocess.Popen([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(number)
    ]
    return [json.loads(process.communicate()[0]) for process in running]


def relative(seconds: dict[str, list[float]], name: str) -> str:
    """Median and range of the rounds' ratios to the segments."""
    found = [a / b for a, b in zip(seconds[name], seconds["segments"], strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def disk(folder: Path) -> int:
    """Bytes that are allocated in a folder."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def compare(size: int, root: Path, options: argparse.Namespace) -> tuple[list[str], float]:
    """Rows of the table for pictures of one size; the ratio of the store of version 0.1."""
    frames = [r.frame for r in draw_all(sample(DRAWN), size, canonicalise=False) if r.status == "ok"]
    records = [Record("ok", frame) for frame in frames for _ in range(COPIES)]
    texts = texts_of(len(records))
    chosen = variants(options.revision)
    build: dict[str, list[float]] = {name: [] for name in chosen}
    one: dict[str, list[float]] = {name: [] for name in chosen}
    two: dict[str, list[float]] = {name: [] for name in chosen}
    opened = {}
    for name, make in chosen.items():
        start = time.process_time()
        opened[name] = make(root / f"{size} {name}", texts, records)
        build[name].append(time.process_time() - start)
    for round_ in range(ROUNDS):
        for name in chosen if round_ % 2 == 0 else reversed(chosen):
            one[name].append(read(opened[name], len(texts), size, options.batches, round_))
    numbers = {"count": len(texts), "size": size, "batches": options.batches}
    for round_ in range(3):
        for name in chosen if round_ % 2 == 0 else reversed(chosen):
            done = processes(2, name, root / f"{size} {name}", options, **numbers)
            two[name].append(sum(process["read"] for process in done))
    rows = []
    for name in chosen:
        milliseconds = statistics.median(one[name]) / options.batches * 1e3
        cells = [f"{size} px, {name}", relative(one, name), f"{milliseconds:.1f} ms", relative(two, name)]
        cells += [f"{build[name][0]:.1f} s", f"{disk(root / f'{size} {name}') / len(texts):,.0f} B"]
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    name = "store of version 0.1"
    ratios = [a / b for a, b in zip(one.get(name, [1.0]), one["segments"], strict=False)]
    return rows, statistics.median(ratios)


def million(root: Path, options: argparse.Namespace) -> list[str]:
    """Opening a cache of many values, and what reading a tenth of it costs in memory."""
    texts = texts_of(options.million)
    content = compress(np.random.default_rng(0).integers(4, size=(3, 16, 16), dtype=np.uint8))
    records = [Record("ok", content)] * len(texts)
    rows = []
    for name, make in variants(options.revision).items():
        start = time.process_time()
        make(root / f"million {name}", texts, records)
        built = time.process_time() - start
        numbers = {"count": len(texts), "size": 16, "batches": len(texts) // BATCH // 10}
        (done,) = processes(1, name, root / f"million {name}", options, **numbers)
        cells = [name, f"{built:.0f} s", f"{done['open']:.1f} s", f"{done['resident']:.0f} MB"]
        cells += [f"{done['own']:.0f} MB", f"{disk(root / f'million {name}') / 1e6:,.0f} MB"]
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the tables, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--revision", help="whose store of version 0.1 is compared, such as 66b1cce")
    parser.add_argument("--million", type=int, default=1_000_000, help="values in the large cache")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    for name in ("count", "size", "seed"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.reader:
        reader(options)
        return 0
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        small, ratio_small = compare(64, root, options)
        large, ratio_large = compare(224, root, options)
        many = million(root, options)
    lines = [
        "# Where pictures are kept",
        "",
        "Written by `python -m benchmarks.molecule_cache`, in processor seconds, which other work on the",
        f"machine changes little. Random batches of 128 pictures, {DRAWN * COPIES:,} records; ratios to the",
        f"segments, median of {ROUNDS} alternating rounds (two processes: 3), smallest to largest in",
        "brackets. Building is without drawing.",
        "",
        "| | batch, one process | | batch, two processes | building | on disk, a picture |",
        "|---|---|---|---|---|---|",
        *small,
        *large,
        "",
        f"Measured apart: {options.million:,} synthetic values of 16 px. Opening includes finding all keys;",
        "memory is the growth of a process that opens the cache and reads a tenth of it. The system takes",
        "pages of files back when it needs memory, and processes share them.",
        "",
        "| | building | opening | memory | without pages of files | on disk |",
        "|---|---|---|---|---|---|",
        *many,
        "",
        "Segments were chosen: of what is keyed by molecule, they are the quickest to read, open and fill,",
        "and the only ones without locks. Their index costs memory that the store of version 0.1 did not",
        "need. LMDB has one writer at a time, a size that is fixed in advance, and locks in shared memory,",
        "which network disks lack; a picture of half a page takes a whole one. sqlite's WAL needs shared",
        "memory, too, and its rollback journal needs locks that network disks often lack. Neither checks",
        "single records.",
    ]
    write_text(options.output, "\n".join(lines) + "\n")
    return 0 if min(ratio_small, ratio_large) >= 1 / 1.1 else 1


if __name__ == "__main__":
    sys.exit(main())
