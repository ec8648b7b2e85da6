"""Files of records: what was written is read, and what was not written is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molweight.data.segments import HEAD, DamagedCacheError, Record, Segment, segment_bytes

KEYS = np.array([b"%015d\0" % row for row in range(5)], dtype="S16")
RECORDS = [
    Record("ok", b"one" * 20),
    Record("ok", b""),
    Record("invalid", b"why"),
    Record("ok", b"4"),
    Record("unsupported", bytes(range(256))),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.records"
    path.write_bytes(segment_bytes(KEYS, RECORDS))
    return path


def read_all(path: Path) -> list[bytes]:
    segment = Segment(path)
    return [bytes(segment.value(row)) for row in range(len(segment.keys))]


def test_what_was_written_is_read(path: Path) -> None:
    segment = Segment(path)
    assert segment.keys.tobytes() == KEYS.tobytes()
    assert segment.status.tolist() == [0, 0, 1, 0, 2]
    assert read_all(path) == [record.value for record in RECORDS]


def test_every_changed_bit_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(DamagedCacheError, match=r"a\.records"):
            read_all(path)


def test_only_the_damaged_value_is_lost(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-300] ^= 1  # of the first value: the others have 0, 3, 1 and 256 bytes
    path.write_bytes(content)
    segment = Segment(path)
    with pytest.raises(DamagedCacheError, match=r"row 0, is damaged: its checksum differs"):
        segment.value(0)
    assert [bytes(segment.value(row)) for row in range(1, 5)] == [record.value for record in RECORDS[1:]]


@pytest.mark.parametrize("size", [0, 7, HEAD.size, HEAD.size + 40, -1])
def test_a_file_that_is_cut_short_is_noticed(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedCacheError, match="is cut short"):
        Segment(path)


def test_an_absurd_number_of_rows_is_noticed(path: Path) -> None:
    path.write_bytes(HEAD.pack(b"MWCACHE2", 0, 2**63, 2**63) + bytes(100))
    with pytest.raises(DamagedCacheError, match="is cut short"):
        Segment(path)


def test_a_replaced_file_is_not_the_current_one(path: Path) -> None:
    segment = Segment(path)
    assert segment.is_current()
    other = path.with_name("b")
    other.write_bytes(path.read_bytes())
    other.replace(path)
    assert not segment.is_current()
    assert bytes(segment.value(0)) == RECORDS[0].value, "who has it open reads on"
    path.unlink()
    assert not segment.is_current()
