"""Whether the file of a data set is here, and whether it is the one that is pinned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from molweight.data.builtin import chembl2321810_files
from molweight.data.download import download
from molweight.data.locate import cached, find, locate
from molweight.data.specs import DatasetSpec
from molweight.errors import DataError
from molweight.utils.files import sha256_file

OK, DIFFERS, ABSENT, UNPINNED = "ok", "differs", "not here", "no checksum known"


@dataclass(frozen=True, kw_only=True)
class ChecksumResult:
    """The file of one data set, compared with what its specification pins."""

    name: str
    state: str
    """``ok``, ``differs``, ``not here`` or ``no checksum known``."""
    path: Path | None
    """None if it is not here."""
    sha256: str | None
    """Of the bytes that are here."""


def verify(spec: DatasetSpec) -> ChecksumResult:
    """Read the file that a run would read and compare its SHA-256 with the pinned one.

    Raises:
        ConfigError: the specification names neither a path nor files.
        DataError: a folder that was asked for does not exist, or the file cannot be read.
    """
    paths = data_files(spec)
    if not paths:
        return ChecksumResult(name=spec.name, state=ABSENT, path=None, sha256=None)
    try:
        sha256 = sha256_file(*paths)
    except OSError as error:
        raise DataError(f"could not read {paths[0]}: {error.strerror or error}") from error
    return ChecksumResult(name=spec.name, state=compare(sha256, spec.sha256), path=paths[0], sha256=sha256)


def compare(sha256: str, pinned: str | None) -> str:
    """``ok``, ``differs`` or ``no checksum known``."""
    if pinned is None:
        return UNPINNED
    return OK if sha256 == pinned.lower() else DIFFERS


def data_files(spec: DatasetSpec) -> tuple[Path, ...]:
    """The files of a data set that are on this machine: two for a series of RDKit's, else one or none."""
    if spec.builtin is not None and spec.path is None:
        files = chembl2321810_files()
        return files if all(file.is_file() for file in files) else ()
    path = find(spec)
    return () if path is None else (path,)


def fetch(spec: DatasetSpec) -> tuple[Path, bool]:
    """Bring the file of a data set here, with its pinned checksum.

    A file in the cache whose checksum is wrong is fetched again. One that the user has put into a folder
    is never replaced.

    Returns:
        The file, and whether it was downloaded now.

    Raises:
        ConfigError: the specification names neither a path nor files.
        DataError: nothing that could be downloaded and verified, or the user's own file differs.
    """
    before = verify(spec)
    if before.path is None:
        if spec.builtin is not None:
            raise DataError(f"this RDKit came without the files of {spec.name!r}: install rdkit from PyPI")
        return locate(spec), True
    if before.state != DIFFERS:
        return before.path, False
    assert spec.sha256 is not None, "differs from what?"
    if spec.url is None or before.path != cached(spec.url):
        raise DataError(difference(spec, before))
    return download(spec.url, before.path, sha256=spec.sha256, progress=True), True


def difference(spec: DatasetSpec, result: ChecksumResult) -> str:
    """The sentence for a file whose checksum is not the pinned one, with the cure."""
    in_cache = spec.url is not None and result.path == cached(spec.url)
    move = "" if in_cache else "move it away and "
    return (
        f"{result.path} has SHA-256 {result.sha256}, the card of {spec.name!r} pins {spec.sha256}: the file "
        f"is damaged or another edition; {move}run `python -m molweight datasets fetch {spec.name}`, or keep "
        "it if it is meant, every report records the checksum of what was read"
    )
