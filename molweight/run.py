"""``python -m molweight.run [OPTION=VALUE …]``: one run, or several with ``--multirun``."""

from __future__ import annotations

import logging
import shlex
import sys

import hydra
from omegaconf import DictConfig

from molweight.config import compose_config, config_dir, to_run_config, with_files
from molweight.errors import MolweightError
from molweight.experiment import run_experiment
from molweight.report import Report, number
from molweight.signals import Interrupted
from molweight.training.metrics import METRICS

logger = logging.getLogger("molweight")


def main(arguments: list[str] | None = None) -> int:
    """Compose, run, print the result; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logger.setLevel(logging.INFO)
    overrides = [a for a in arguments if not a.startswith("-")]
    command = shlex.join(["python", "-m", "molweight.run", *arguments])
    code = 0

    @hydra.main(config_path=str(config_dir()), config_name="config", version_base="1.3")
    def job(config: DictConfig) -> None:
        nonlocal code
        code = max(code, one_run(config, command))

    try:
        if not any(a in ("--help", "-h", "--version", "--info", "-i") for a in arguments) and "--multirun" not in arguments:
            compose_config(overrides)  # Hydra would print its own sentence and exit with 1
        sys.argv = [sys.argv[0], *(arg for a in arguments for arg in ([a] if a.startswith("-") else with_files([a])))]
        job()
    except MolweightError as error:
        print(f"molweight: {error}", file=sys.stderr)
        return error.exit_code
    return code


def one_run(config: DictConfig, command: str) -> int:
    """Run one composed configuration; the exit code."""
    try:
        run = to_run_config(config)
        print(f"run directory: {run.run_dir}", file=sys.stderr)
        report = run_experiment(run, progress=True, command=command)
    except MolweightError as error:
        print(f"molweight: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as error:
        print(f"molweight: {error}; run it again with run_dir={run.run_dir} to continue", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("molweight: interrupted", file=sys.stderr)
        return 130
    print(closing_lines(report, str(run.run_dir)))
    return 0


def closing_lines(report: Report, run_dir: str) -> str:
    """The result for the terminal: scores, a bar for every weight, where to look."""
    content = report.content
    label = METRICS[content["metric"]].label
    widest = max(len(name) for name in report.weights)
    most = max(report.weights.values())
    bars = [
        f"  {name:<{widest}}  {weight:.3f}  {'█' * max(1, round(30 * weight / most))}"
        for name, weight in sorted(report.weights.items(), key=lambda item: -item[1])
    ]
    return "\n".join(
        [
            "",
            f"{content['dataset']}: test {label} {number(content['test'])} "
            f"(validation {number(content['valid'])}), {content['seconds']:.0f} s",
            "weights:",
            *bars,
            f"report: {run_dir}/report.md",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
