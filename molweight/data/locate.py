"""Where the file of a data set is: the user's path, a folder of data sets, the cache, or its address."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from molweight.data.download import download
from molweight.data.smiles import advice
from molweight.data.specs import DatasetSpec
from molweight.errors import ConfigError, DataError, option

FOLDER_VARIABLE = "MOLWEIGHT_DATASETS"
CACHE_VARIABLE = "MOLWEIGHT_CACHE"


def cache_folder() -> Path:
    """``$MOLWEIGHT_CACHE``, else the system's folder for caches: ``~/.cache/molweight`` on Linux.

    A folder where earlier versions kept the cache on every system, ``$XDG_CACHE_HOME/molweight`` or
    ``~/.cache/molweight``, is used where it exists.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    earlier = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "molweight"
    return earlier if earlier.is_dir() else platformdirs.user_cache_path("molweight", appauthor=False)


def dataset_folders(folder: Path | None = None) -> list[Path]:
    """The folders to search, first one first: ``folder`` alone, or the environment's, then ``./datasets``.

    Raises:
        DataError: the folder that was asked for does not exist.
    """
    named = folder or os.environ.get(FOLDER_VARIABLE)
    if not named:
        return [Path("datasets")]
    chosen = Path(named).expanduser()
    if not chosen.is_dir():
        origin = "the folder of data sets" if folder else f"${FOLDER_VARIABLE}"
        raise DataError(f"{origin} is {chosen}, which is not a folder: create it or correct the name")
    return [chosen] if folder else [chosen, Path("datasets")]


def locate(spec: DatasetSpec, *, folder: Path | None = None) -> Path:
    """The file of a data set, downloaded into the cache if its checksum is pinned.

    Order: the places of :func:`find`, then its address.

    Raises:
        ConfigError: the specification names neither a path nor files.
        DataError: not found, and nothing that could be downloaded and verified.
    """
    if (path := find(spec, folder=folder)) is not None:
        return path
    if spec.url is not None and spec.sha256 is not None:
        return download(spec.url, cached(spec.url), sha256=spec.sha256, progress=True)
    raise DataError(_advice(spec, dataset_folders(folder)[0]))


def cached(url: str) -> Path:
    """Where the file at an address ends up when it is downloaded.

    Raises:
        DataError: the address names no file.
    """
    name = url.rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\\" in name:
        raise DataError(f"{url!r} does not end in the name of a file: correct dataset.url")
    return cache_folder() / "datasets" / name


def find(spec: DatasetSpec, *, folder: Path | None = None) -> Path | None:
    """The file of a data set if it is on this machine, else None.

    Order: ``spec.path``; ``<folder>/<file>`` and ``<folder>/<name>/<file>`` in each of
    :func:`dataset_folders`; ``<cache>/datasets/<file>``.

    Raises:
        ConfigError: the specification names neither a path nor files.
        DataError: ``spec.path`` or a folder that was asked for does not exist.
    """
    if spec.path is not None:
        path = Path(spec.path).expanduser()
        if not path.is_file():
            raise DataError(
                f"{spec.path} is not a file: correct the path (from {Path.cwd()}){advice(str(spec.path))}",
                option="dataset.path",
            )
        return path
    if not spec.files:
        raise ConfigError(
            f"{spec.name} needs a file",
            option="dataset",
            hint=f"pass {option('dataset.path', '<table with SMILES and labels>')}",
        )
    folders = [path for base in dataset_folders(folder) for path in (base, base / spec.name)]
    folders.append(cache_folder() / "datasets")
    paths = (path / file for path in folders for file in spec.files)
    return next((path for path in paths if path.is_file()), None)


def _advice(spec: DatasetSpec, folder: Path) -> str:
    """The sentence for a data set that is not here and that must not be downloaded unchecked."""
    where = f"get it from {spec.url}" if spec.url else "get it from its source"
    name = spec.url.rsplit("/", 1)[-1] if spec.url else ""
    file = name if name in spec.files else spec.files[0]  # a name without .gz would not be unpacked
    return (
        f"data set {spec.name!r} is not here, and no checksum is pinned, so it is not downloaded: "
        f"{where} and put it at {(folder / file).absolute()} (or in the folder "
        f"that ${FOLDER_VARIABLE} names), or pass {option('dataset.path', '<file>')}, "
        f"or pass {option('dataset.sha256', '<checksum>')} "
        "to have it downloaded and verified"
    )
