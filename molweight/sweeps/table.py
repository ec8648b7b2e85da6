"""The end of a sweep on the terminal: every job, how it ended, and where its files are."""

from __future__ import annotations

from molweight.sweeps.sweep import Endings
from molweight.utils.terminal import columns, described

INDENT = 6  # of a reason, below its job


def table(endings: Endings) -> str:
    """A line for each job, its reason below if it failed, and a line that counts."""
    rows = [("job", "state", "result", "run directory")]
    reasons = [""]
    for job in endings.jobs:
        ending = endings.of[str(job.config.run_dir)]
        rows.append((job.name, ending.state, ending.score, str(job.config.run_dir)))
        reasons.append(ending.error)
    lines = [""]
    for line, reason in zip(columns(rows, align="<<<<"), reasons, strict=True):
        lines += [line, *(described(" " * INDENT, reason, indent=INDENT) if reason else [])]
    return "\n".join([*lines, "", count(endings)])


def count(endings: Endings) -> str:
    """How many are ok, and what to do about the others."""
    states = [endings.of[str(job.config.run_dir)].state for job in endings.jobs]
    total = f"{len(states)} job{'s' * (len(states) != 1)}"
    parts = [f"{states.count(name)} {name}" for name in dict.fromkeys(states)]
    said = f"{total}: {', '.join(parts)}"
    return said if set(states) <= {"ok", "skipped"} else f"{said}; the same command goes on with what is left"
