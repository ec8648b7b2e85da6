"""``python -m molweight.run [OPTION=VALUE …]`` and its like: one run, or several with ``--multirun``."""

from __future__ import annotations

import logging
import shlex
import sys
from argparse import ArgumentParser, Namespace

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext

from molweight.cli.endings import exit_code, message
from molweight.cli.sweep import sweep_command
from molweight.config.composition import compose_config, hydra_of
from molweight.config.modality import Modality
from molweight.config.option_text import all_options, commented_yaml
from molweight.config.run_config import to_run_config
from molweight.distributed.launch import LeaderFailedError, launched_rank
from molweight.errors import ConfigError, MolweightError
from molweight.methods.base import RunConfig
from molweight.reporting.report import Report
from molweight.runs.experiment import run_experiment
from molweight.runs.launchers import register_launchers
from molweight.runs.sweep import asks_for_sweep
from molweight.utils.machine import version_line
from molweight.utils.signals import Interrupted
from molweight.utils.terminal import INDENT, log_to_stderr, printable, printable_lines

FOREIGN = ("--config", "-cp", "-cn", "-cd", "--experimental-rerun")
"""Beginnings of Hydra's options that read configurations, or a pickle of one, from elsewhere."""


def run_command(modality: Modality, arguments: list[str] | None = None) -> int:
    """Compose, run, print the result; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    log_to_stderr()
    logging.getLogger("molweight").setLevel(logging.WARNING if launched_rank() else logging.INFO)
    if "--version" in arguments:  # Hydra would tell its own
        print(version_line())
        return 0
    try:
        refuse_foreign(arguments)
        if asks_for_sweep(arguments):
            return exit_code(lambda: sweep_command(modality, arguments, say=say))
        register_launchers()
        parser = get_args_parser()
        flags = parser.parse_args(arguments)
        if is_question(flags):
            answer(flags, parser, modality)
            return 0
        config = compose_config(flags.overrides, modality.tree, whole=True)
        HydraConfig.instance().set_config(config)  # for ${hydra:runtime.cwd} and its like
        run = to_run_config(config, modality)
    except MolweightError as error:
        tell(f"molweight: {error}")
        return error.exit_code
    command = f"{modality.tree.command} {shlex.join(arguments)}".strip()
    job = run_job(  # hydra.run.dir, hydra.job.* and hydra.callbacks are Hydra's
        task_function=lambda _: one_run(run, command),
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=HydraContext(
            config_loader=ConfigLoaderImpl(ConfigSearchPathImpl()), callbacks=Callbacks(config)
        ),
    )
    code: int = job.return_value
    return code


def is_question(flags: Namespace) -> bool:
    """Whether a command asks Hydra something instead of running.

    Raises:
        ConfigError: it asks two things at once.
    """
    chosen = [flags.cfg, flags.info, flags.shell_completion, flags.multirun]
    if sum(map(bool, chosen)) > 1:
        raise ConfigError("give one of --cfg, --info, --shell-completion and --multirun")
    if flags.resolve and not (flags.cfg or flags.help):
        raise ConfigError("--resolve belongs to --cfg or --help")
    return bool(flags.help or flags.hydra_help or any(chosen))


def answer(flags: Namespace, parser: ArgumentParser, modality: Modality) -> None:
    """Print what ``--help``, ``--cfg``, ``--info`` or ``--shell-completion`` ask for.

    Raises:
        ConfigError: as :func:`compose_config`.
    """
    name = modality.tree.primary
    with hydra_of(flags.overrides, modality.tree) as (hydra, options):
        if flags.help:
            hydra.app_help(name, parser, flags)
            print(all_options(modality))
        elif flags.hydra_help:
            hydra.hydra_help(name, parser, flags)
        elif flags.cfg == "job":
            config, package = compose_config(flags.overrides, modality.tree), flags.package
            package = None if package == "_global_" else package
            print(commented_yaml(config, modality, package, resolve=flags.resolve))
        elif flags.cfg:
            hydra.show_cfg(name, options, flags.cfg, flags.package, flags.resolve)
        elif flags.shell_completion:
            hydra.shell_completion(name, options)
        else:
            hydra.show_info(flags.info, name, options)


def refuse_foreign(arguments: list[str]) -> None:
    """Refuse configuration files from elsewhere: Hydra would instantiate what they name, before any check.

    Raises:
        ConfigError: naming the option.
    """
    for argument in arguments:
        if argument.startswith(FOREIGN) or argument.lstrip("+~").startswith("hydra.searchpath"):
            raise ConfigError(
                f"{argument.partition('=')[0]} is refused: a configuration file from elsewhere could run "
                "code; give what it says as options, key=value"
            )


def one_run(run: RunConfig, command: str) -> int:
    """Run one configuration; the exit code."""
    try:
        tell(f"run directory: {run.run_dir}")
        report = run_experiment(run, progress=True, command=command)
    except LeaderFailedError as error:
        return error.exit_code  # it has said why
    except MolweightError as error:
        message(error, name=f"molweight (process {launched_rank()})" if launched_rank() else "molweight")
        return error.exit_code
    except Interrupted as error:
        tell(f"molweight: {error}; run it again with run_dir={run.run_dir} to continue")
        return error.exit_code
    except KeyboardInterrupt:
        tell("molweight: interrupted")
        return 130
    if launched_rank():
        return 0
    print(printable_lines(closing_lines(report)))
    page = run.run_dir / "report.html"
    print(printable(f"report: {page if page.exists() else page.with_suffix('.md')}"))
    return 0


def tell(sentence: str) -> None:
    """Print for people, in one of several processes."""
    if not launched_rank():
        print(printable_lines(sentence, indent=INDENT), file=sys.stderr)


def say(line: str) -> None:
    """Print a line of a sweep at once."""
    print(printable(line), flush=True)


def closing_lines(report: Report) -> str:
    """The result for the terminal: scores, and a bar for every weight."""
    widest = max(map(len, report.weights), default=0)
    most = max(report.weights.values(), default=1.0)
    bars = [
        f"  {name:<{widest}}  {weight:.3f}  {'█' * max(1, round(30 * weight / most))}"
        for name, weight in report.ranked_weights
    ]
    return "\n".join(
        [
            "",
            f"{report.dataset}: {report.outcome}",
            *(["weights:", *bars] if bars else []),
        ]
    )
