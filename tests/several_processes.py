"""Run a function of a test module in several processes at once that communicate over the loopback address."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environments(count):
    """What ``torchrun`` tells each of ``count`` processes."""
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for rank in range(count):
        number = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        yield {**os.environ, **shared, **number, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def in_processes(count, module, function):
    """Call ``module.function()`` in each; all must return. What they print, by rank."""
    code = f"from {module} import {function}; {function}()"
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error::FutureWarning:torch.distributed",
                "-X",
                "faulthandler",
                "-c",
                code,
            ],
            env=environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for environment in environments(count)
    ]
    try:
        said = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (out, error) in zip(started, said, strict=True):
        assert process.returncode == 0, f"{process.returncode}\n{out}\n{error}"
    return [out for out, _ in said]
