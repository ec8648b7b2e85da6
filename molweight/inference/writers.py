"""Tables of predictions into a file or a pipe, batch by batch.

A file is whole, or it is not there: rows go into ``<name>.partial``, which takes the name in the end. Where
writing was cut short it stays if it can be read, as CSV and JSON lines can.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from molweight.errors import ConfigError, DataError, unknown
from molweight.utils.spreadsheets import csv_bytes

GROUP = 65_536  # rows of a Parquet row group


class Encoding:
    """How tables become bytes.

    Args:
        file: that they go into.
        empty: the table of no rows: names and types of the columns.
        about: what else is known, by name; kept where the format has a place for it.
    """

    growing = True
    """Whether what is written so far can be read."""

    def __init__(self, file: BinaryIO, empty: pd.DataFrame, about: Mapping[str, str]) -> None:
        self.file = file

    def write(self, table: pd.DataFrame) -> None:
        """Add rows."""
        raise NotImplementedError

    def close(self) -> None:
        """Add what belongs at the end."""

    def abandon(self) -> None:
        """Let go of the file, which will not be whole."""


class Csv(Encoding):
    """Comma-separated text; see :func:`molweight.utils.spreadsheets.csv_bytes`."""

    def __init__(self, file: BinaryIO, empty: pd.DataFrame, about: Mapping[str, str]) -> None:
        super().__init__(file, empty, about)
        self.write(empty, header=True)

    def write(self, table: pd.DataFrame, *, header: bool = False) -> None:
        """Add rows."""
        self.file.write(csv_bytes(table, header=header))


class JsonLines(Encoding):
    """An object a row, NaN as null; numbers have the fewest digits that give them back."""

    def write(self, table: pd.DataFrame) -> None:
        """Add rows."""
        names = [str(name) for name in table.columns]
        for row in zip(*(self._plain(table[name]) for name in table.columns), strict=True):
            self.file.write(json.dumps(dict(zip(names, row, strict=True))).encode() + b"\n")

    @staticmethod
    def _plain(column: pd.Series) -> list[object]:
        if column.dtype == np.float32:  # through its own digits, as a float64 it would have more
            column = column.astype(str).astype("float64")
        return [None if value != value else value for value in column.tolist()]


class Parquet(Encoding):
    """Columns of int64, string, float64 and float32, with what there is to know about them as metadata."""

    growing = False

    def __init__(self, file: BinaryIO, empty: pd.DataFrame, about: Mapping[str, str]) -> None:
        try:
            import pyarrow
            from pyarrow.parquet import ParquetWriter
        except ImportError as error:
            raise DataError(
                "writing Parquet needs pyarrow, which is not installed: pip install pyarrow, or write CSV"
            ) from error
        kinds = {name: getattr(pyarrow, name)() for name in ("int64", "float64", "float32")}
        fields = [(str(name), kinds.get(str(empty[name].dtype), pyarrow.string())) for name in empty.columns]
        self.table = pyarrow.Table
        self.schema = pyarrow.schema(fields, metadata=dict(about))
        self.writer = ParquetWriter(file, self.schema)
        self.waiting: list[pd.DataFrame] = []

    def write(self, table: pd.DataFrame) -> None:
        """Add rows; they are written a group at a time."""
        self.waiting.append(table)
        if sum(map(len, self.waiting)) >= GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last rows and the footer."""
        self._flush()
        self.writer.close()

    def abandon(self) -> None:
        """Close the writer before its file is: otherwise it does so when it is deleted."""
        self.waiting = []
        self.writer.close()

    def _flush(self) -> None:
        if self.waiting:
            rows = pd.concat(self.waiting)
            for name in rows.select_dtypes(object).columns:  # Arrow refuses what UTF-8 cannot hold
                rows[name] = [text.encode("utf-8", "backslashreplace").decode() for text in rows[name]]
            self.writer.write_table(self.table.from_pandas(rows, schema=self.schema, preserve_index=False))
            self.waiting = []


class Npz(Encoding):
    """NumPy arrays: ``row``, ``input``, ``status``, ``reason`` [n], ``columns`` [c], ``values`` [n, c].

    The one format that is held in memory until the end.
    """

    growing = False

    def __init__(self, file: BinaryIO, empty: pd.DataFrame, about: Mapping[str, str]) -> None:
        super().__init__(file, empty, about)
        self.tables = [empty]

    def write(self, table: pd.DataFrame) -> None:
        """Add rows."""
        self.tables.append(table)

    def close(self) -> None:
        """Write everything."""
        table = pd.concat(self.tables)
        numbers = table.select_dtypes(["float64", "float32"])
        texts: dict[str, Any] = {
            str(name): table[name].to_numpy(np.str_) for name in table.columns if table[name].dtype == object
        }
        np.savez_compressed(
            self.file,
            row=table["row"].to_numpy(np.int64),
            columns=np.array(list(numbers.columns), dtype=np.str_),
            values=numbers.to_numpy(),
            **texts,
        )

    def abandon(self) -> None:
        """Forget the rows."""
        self.tables = []


FORMATS: dict[str, type[Encoding]] = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet, "npz": Npz}
ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".npz": "npz"}


def output_format(path: Path | None, kind: str | None) -> str:
    """The format that was asked for, or that of the file's ending; CSV for a pipe.

    Raises:
        ConfigError: there is no such format.
    """
    if kind is None and path is not None:
        kind = ENDINGS.get(path.suffix.lower())
        if kind is None:
            raise ConfigError(
                f"{path}: the ending {path.suffix!r} names no format; use {', '.join(ENDINGS)} or --format"
            )
    kind = kind or "csv"
    if kind not in FORMATS:
        raise ConfigError(unknown("format", kind, FORMATS))
    if kind in ("parquet", "npz") and path is None:
        raise ConfigError(f"{kind} goes into a file: name one with -o FILE.{kind}")
    return kind


class Output:
    """Where tables go; a context, in which they are written.

    Args:
        path: of the file; None is standard output.
        kind: of :data:`FORMATS`.
        empty, about: as of :class:`Encoding`.

    ``left`` says whether rows stay in ``partial`` when writing is cut short.

    Raises:
        DataError: it cannot be written.
    """

    def __init__(
        self, path: Path | None, *, kind: str, empty: pd.DataFrame, about: Mapping[str, str]
    ) -> None:
        self.path, self.rows = path, 0
        self.partial = None if path is None else path.with_name(f"{path.name}.partial")
        try:
            self.file: BinaryIO = sys.stdout.buffer if self.partial is None else self.partial.open("wb")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from error
        self.left = self.partial is not None and FORMATS[kind].growing
        try:
            self.encoding = FORMATS[kind](self.file, empty, about)
        except DataError:
            if self.partial is not None:
                self.file.close()
                self.partial.unlink()
            raise

    def write(self, table: pd.DataFrame) -> None:
        """Add rows; a pipe has them at once.

        Raises:
            DataError: they cannot be written.
        """
        try:
            self.encoding.write(table)
            if self.partial is None:
                self.file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from error
        self.rows += len(table)

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.partial is None or self.path is None:
            return
        if kind is not None:
            self._abandon()
            return
        try:
            self.encoding.close()
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self.partial.replace(self.path)
        except OSError as problem:
            self._abandon()
            raise self._failure(problem) from problem

    def _abandon(self) -> None:
        """Close the file that will not be whole, and remove it unless it is worth keeping."""
        assert self.partial is not None
        with contextlib.suppress(OSError):  # the disk is full, as is known already
            self.encoding.abandon()
        with contextlib.suppress(OSError):
            self.file.close()
        if not self.left:
            self.partial.unlink(missing_ok=True)

    def _failure(self, error: OSError) -> DataError:
        rest = f"; what was written is in {self.partial}" if self.left else ""
        return DataError(f"could not write {self.path or 'standard output'}: {error.strerror or error}{rest}")
