"""A disk of a few megabytes that tests fill up, empty and make read-only."""

from __future__ import annotations

import contextlib
import subprocess

import pytest

FILLER = "filler"


@contextlib.contextmanager
def mounted(folder):
    """Hold a disk in memory under a folder, which takes the rights of an administrator."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"needs the command mount: {error}")
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    """Leave no byte free."""
    with contextlib.suppress(OSError), (disk / FILLER).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def make_room(disk):
    """Undo :func:`fill`."""
    (disk / FILLER).unlink()


def make_read_only(disk):
    """What a system does with a failing disk."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
