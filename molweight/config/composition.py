"""Hydra's composition of the YAML files, with errors that name the nearest option."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from molweight.config.literal import literal
from molweight.errors import NO_SMILES, ConfigError, unknown


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The configuration files of one command.

    Args:
        primary: stem of the file that holds the defaults.
        command: that they belong to.
        folder: of the groups that are not shared, below the configuration folder; empty: none.
        files: groups that take a file instead of a name, to the choice that reads it.
        others: groups that take any name, to the choice that resolves those without a file of their own.
        schema: sections, to the dotted names of their classes, which explain options, say what is text, and
            have the defaults of what a YAML file of the section leaves out.
    """

    primary: str
    command: str
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    schema: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        """The groups in its own folder."""
        return [path.name for path in (config_dir() / self.folder).iterdir() if path.is_dir()]

    def group(self, name: str) -> str:
        """Where Hydra finds a group."""
        return f"{self.folder}/{name}" if self.folder and name in self.groups else name

    def options(self, group: str) -> list[str]:
        """The names in a group."""
        return options(self.group(group))


MOLECULES = Tree(
    primary="config",
    command="python -m molweight.run",
    files={"dataset": "csv", "corpus": "file", "split": "file"},
    schema={
        "dataset": "molweight.data.specs.DatasetSpec",
        "corpus": "molweight.data.specs.CorpusSpec",
        "split": "molweight.objectives.setup.SplitConfig",
        "backbone": "molweight.objectives.setup.BackboneConfig",
        "views": "molweight.images.views.View",
        "views.jigsaw": "molweight.images.views.Jigsaw",
        "views.masked": "molweight.images.views.Masked",
    },
)


def config_dir() -> Path:
    """The folder of YAML files: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def register_defaults(tree: Tree) -> None:
    """Tell Hydra the defaults of the dataclasses: ``- DatasetSpec@dataset`` in a defaults list."""
    for dotted in tree.schema.values():
        cls = get_class(dotted)
        if is_dataclass(cls):
            values = {field.name: default_of(field) for field in fields(cls)}
            ConfigStore.instance().store(name=cls.__name__, node=values)


def default_of(field: Field[object]) -> object:
    """The default of a field as YAML has it; ``???`` where there is none."""
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    return "???" if value is MISSING else list(value) if isinstance(value, tuple) else value


def compose_config(overrides: Sequence[str], tree: Tree = MOLECULES, *, whole: bool = False) -> DictConfig:
    """Hydra's composition, with its errors turned into ours.

    Args:
        overrides: options of a command.
        tree: its files.
        whole: with the part that configures Hydra itself.

    Raises:
        ConfigError: as :func:`load_config`.
    """
    with hydra_of(overrides, tree) as (_, options):
        return compose(tree.primary, overrides=options, return_hydra_config=whole)


@contextlib.contextmanager
def hydra_of(overrides: Sequence[str], tree: Tree) -> Iterator[tuple[Any, list[str]]]:
    """Hydra for the files of a command, and its options as Hydra needs them; global state is restored.

    Raises:
        ConfigError: in place of what Hydra raises inside.
    """
    options = spelled_out(overrides, tree)
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    register_defaults(tree)
    try:
        with initialize_config_dir(str(config_dir()), job_name="run", version_base="1.3"):
            yield GlobalHydra.instance().hydra, options
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: dataset=null
        raise ConfigError(explain(error, options, tree)) from error
    except (TypeError, AttributeError, LookupError, AssertionError) as error:  # Hydra on dataset=[1,2]
        listed = [word for word in overrides if word.partition("=")[2].startswith(("[", "{"))]
        blamed = f" ({' '.join(listed)})" if listed else ""
        raise ConfigError(
            f"the options cannot be combined{blamed}: a group takes one name. {type(error).__name__}: {error}"
        ) from error
    finally:
        if previous is not None:
            GlobalHydra.instance().hydra = previous


def spelled_out(overrides: Sequence[str], tree: Tree = MOLECULES) -> list[str]:
    """``dataset=my.csv``, ``split=deepchem:ButinaSplitter``, … as Hydra needs them."""
    result = []
    for override in overrides:
        group, _, value = override.partition("=")
        if group in tree.files and is_file_name(value):
            result += [f"{tree.group(group)}={tree.files[group]}", f"{group}.path={quoted(value)}"]
        elif group in tree.others and value not in ("", "null", *tree.options(group)) and "," not in value:
            result += [f"{tree.group(group)}={tree.others[group]}", f"{group}.name={quoted(value)}"]
        elif group == "split" and value.startswith("deepchem:") and "split" in tree.files:
            result += ["split=deepchem", f"split.kind={quoted(value)}"]
        elif group == "method" and value.startswith("tapweight:"):
            result += [override, f"hypergradient={value.removeprefix('tapweight:')}"]
        else:
            result.append(in_folder(override, tree))
    return result


def in_folder(override: str, tree: Tree) -> str:
    """An override with text in quotes; its group, if it is one, is named with the folder that holds it."""
    override = literal(override, tree.schema)
    key = re.match(r"([+~]*)(\w+)(?=[=@]|$)", override)
    if key is None or not tree.folder:
        return override
    return key.group(1) + tree.group(key.group(2)) + override[key.end() :]


def is_file_name(value: str) -> bool:
    """Whether ``dataset=value`` names a file rather than a data set."""
    return bool(Path(value).suffix) or "/" in value


def quoted(value: str) -> str:
    """A string that Hydra's grammar reads as one value."""
    escaped = re.sub(r"(\\*)'", r"\1\1\'", value)  # a backslash escapes quotes only
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return "'" + escaped + "\\" * trailing + "'"


def plain(value: str) -> str:
    """A value as Hydra reads it: quoted only where its grammar needs that."""
    return value if re.fullmatch(r"[\w.:/-]+", value) else quoted(value)


def explain(error: Exception, overrides: Sequence[str], tree: Tree = MOLECULES) -> str:
    """Hydra's complaint as a sentence with the nearest name."""
    cause = error.__cause__ or error
    keys = [override.partition("=")[0].lstrip("+~") for override in overrides]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        sentence = unknown(group.removeprefix(f"{tree.folder}/"), name, error.options)
        if tree is MOLECULES and group in ("dataset", "corpus") and "Did you mean" not in sentence:
            from molweight.data.smiles import advice  # RDKit, which text does without

            sentence = sentence.removesuffix(".") + advice(name)
        return sentence
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        key = str(cause.full_key)  # dataset.aliases={a: 5}: the unknown one is inside
        return unknown_key(next((longer for longer in keys if longer.startswith(f"{key}.")), key), tree)
    if isinstance(error, OverrideParseException) or "" in keys:
        what = str(error).splitlines()[0].strip()
        if "" in keys:
            what = f"{overrides[keys.index('')]!r} has no key"
        return (
            f"an argument could not be read ({what}). Options look like key=value; a value with special "
            f"characters needs two pairs of quotes: \"dataset.path='my file.csv'\". {NO_SMILES}"
        )
    if isinstance(error, ConfigCompositionException):
        for key in keys:
            if f"'{key}'" in str(error):
                return unknown_key(key, tree)
    return " ".join(str(error).split())


def options(group: str) -> list[str]:
    """The names in a group of configuration files."""
    return [file.stem for file in (config_dir() / group).glob("*.yaml")]


def unknown_key(key: str, tree: Tree = MOLECULES) -> str:
    """The sentence for a key that does not exist."""
    known = sorted(flat_keys(OmegaConf.to_container(compose_config((), tree), resolve=False)))
    key = key.removeprefix(f"{tree.folder}/")
    close = difflib.get_close_matches(key, [*known, *tree.groups], n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    if key.lower() == "smiles":
        hint = f" {NO_SMILES}."
    return f"unknown option {key!r}.{hint} See all options with: {tree.command} --cfg job"


def flat_keys(tree: object, prefix: str = "") -> list[str]:
    """Dotted names of all keys of nested dictionaries."""
    if not isinstance(tree, dict):
        return []
    keys = []
    for key, value in tree.items():
        keys += [f"{prefix}{key}", *flat_keys(value, f"{prefix}{key}.")]
    return keys
