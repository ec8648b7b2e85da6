"""Every YAML file composes; what is misspelt, of a wrong type or foreign gets a sentence."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from molweight.config.composition import compose_config, config_dir, quoted
from molweight.config.image_run import load_config
from molweight.errors import ConfigError
from molweight.tapweight.inverse import Identity

ROOT = Path(__file__).resolve().parents[2]
NEEDS = {"corpus=file": ["corpus.path=my.smi"], "split=file": ["split.path=my.json"]}


def names(group):
    return sorted(file.stem for file in (ROOT / "configs" / group).glob("*.yaml"))


def choices(*groups):
    return [f"{group}={name}" for group in groups for name in names(group)]


def refused(*overrides):
    """The sentence of the error that the options give."""
    with pytest.raises(ConfigError) as caught:
        load_config(*overrides)
    assert caught.value.exit_code == 2
    sentence = str(caught.value)
    assert "Traceback" not in sentence and sentence.strip()
    return sentence


def test_no_group_of_files_is_left_untested():
    folders = {p.name for p in (ROOT / "configs").iterdir() if p.is_dir()}
    tested = {"dataset", "corpus", "split", "backbone", "objectives", "hypergradient", "experiment"}
    assert folders == tested | {"objective", "nlp"}  # tests/nlp/test_nlp_config.py


@pytest.mark.parametrize(
    "choice", choices("dataset", "corpus", "split", "backbone", "objectives", "hypergradient", "experiment")
)
def test_every_file_gives_a_checked_run(choice):
    config = load_config(choice, *NEEDS.get(choice, []))
    assert len(config.hash) == 64 and yaml.safe_load(config.text)["seed"] == 0
    group, name = choice.split("=")
    if group in ("dataset", "corpus", "backbone"):
        assert getattr(config.samples, group).name == name
    if group == "split":
        assert config.samples.split.kind.partition(":")[0] == name
    if group == "hypergradient":
        assert config.hypergradient_name == name


@pytest.mark.parametrize("name", names("objective"))
def test_every_objective_can_be_added_to_a_run(name):
    config = load_config("objectives=tapt_min", f"+objective@objectives.extra={name}")
    assert len(config.samples.objectives) == 3
    written = yaml.safe_load((ROOT / "configs" / "objective" / f"{name}.yaml").read_text())
    target = type(config.samples.objectives[-1])
    assert f"{target.__module__}.{target.__qualname__}" == written["_target_"]


def test_data_set_cards_name_themselves():
    for name in names("dataset"):
        assert yaml.safe_load((ROOT / "configs" / "dataset" / f"{name}.yaml").read_text())["name"] == name


def test_a_preset_overrides_the_defaults_and_the_command_line_overrides_the_preset():
    assert load_config("experiment=smoke").learn.steps == 6
    config = load_config("experiment=smoke", "learn.steps=9", "objectives=tapweight")
    assert config.learn.steps == 9 and len(config.samples.objectives) == 5


def test_values_reach_the_recipes():
    config = load_config(
        "learn.proximal.gamma=1e-2",
        "finetune.optimiser.lr=3e-4",
        "objectives.clusters_coarse.k=7",
        "threads=2",
    )
    assert (
        config.learn.proximal.gamma == 0.01 and config.finetune.optimiser.lr == 3e-4 and config.threads == 2
    )
    assert config.samples.objectives[0].k == 7


def test_the_published_hypergradient_is_the_published_one():
    config = load_config("hypergradient=paper")
    assert type(config.hypergradient.finetune).__name__ == "Identity"
    assert config.hypergradient.directional.radius == 0.01


def test_every_experiment_composes():
    found = {name: load_config(f"experiment={name}") for name in names("experiment")}
    control, general = found["control"], found["pretrain_tiny"]
    assert control.hypergradient_name == "diagonal" and control.hypergradient.directional_batches == 8
    assert control.hypergradient.finetune == control.hypergradient.pretrain == Identity(precondition=True)
    assert [card.name for card in general.samples.held_out] == list(general.samples.corpus.exclude)
    assert {"esol", "bbbp", "tox21", "chembl2321810"} <= set(general.samples.corpus.exclude)
    assert general.samples.backbone.init == "random" and str(general.method) == "equal"


# Misspelt


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("dataset=tox2", "tox21"),
        ("split=scafold", "scaffold"),
        ("objectives=tapwight", "tapweight"),
        ("hypergradient=papr", "paper"),
        ("experiment=smoky", "smoke"),
        ("backbone=resnet81", "resnet18"),
        ("+objective@objectives.x=jigsw", "jigsaw"),
        ("datset=tox21", "dataset"),
        ("sead=1", "seed"),
        ("lern.steps=3", "learn.steps"),
        ("learn.stps=3", "learn.steps"),
        ("finetune.optimiser.learning_rat=3", "finetune.optimiser"),
        ("learn.unroll.pretrian=2", "learn.unroll.pretrain"),
        ("objectives.clusters_coarse.kk=3", "objectives.clusters_coarse.k"),
        ("dataset.smile_column=x", "dataset.smiles_column"),
        ("method=tapwait", "tapweight"),
        ("solver=natve", "native"),
        ("protocol=strct", "strict"),
        ("learn.proximal.reduction=summ", "sum"),
        ("learn.proximal.kind=l3", "l2"),
        ("learn.update=softmaxx", "softmax"),
        ("finetune.optimiser.name=adamww", "adamw"),
        ("learn.pretrain.schedule=cosin", "cosine"),
        ("+sead=1", "seed"),
        ("+learn.pretrain.momentun=0.5", "momentum"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(override, nearest):
    sentence = refused(override)
    assert f"Did you mean '{nearest}" in sentence


def test_unknown_group_members_list_all_known():
    sentence = refused("backbone=xyz")
    assert "unknown backbone 'xyz'" in sentence and "resnet18, tiny" in sentence


# Wrong types and impossible values


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("learn.steps=abc", "learn.steps must be a whole number, got 'abc'"),
        ("learn.steps=1.5", "learn.steps must be a whole number, got 1.5"),
        ("learn.steps=0", "learn needs steps >= 1"),
        ("learn.batch_size.weights=1", "batch sizes >= 2"),
        ("learn.batch_size=3", "learn.batch_size must be a group of options, got 3"),
        ("learn.unroll=5", "learn.unroll must be a group of options, got 5"),
        ("learn.proximal.gamma=0", "learn.proximal.gamma must be > 0 or null"),
        ("learn.proximal.gamma=nan", "learn.proximal.gamma must be a finite number"),
        ("learn.proximal.kind=l1", "gives the weights no gradient"),
        ("learn.averaging.decay=1", "decay must lie in [0, 1)"),
        ("learn.averaging.limit=0", "limit must be > 0 or null"),
        ("learn.accumulate=0", "accumulate >= 1"),
        ("learn.unroll.every=0", "unroll needs"),
        (
            "hypergradient.hessian={_target_: molweight.tapweight.directional.ForwardMode}",
            "hypergradient.hessian",
        ),
        (
            "hypergradient.directional._target_=molweight.tapweight.hessian.DoubleBackward",
            "hypergradient.directional must be a directional derivative, got",
        ),
        (
            "hypergradient.pretrain._target_=molweight.tapweight.proximal.L1",
            "hypergradient.pretrain",
        ),
        ("hypergradient.batch_fraction=0", "batch_fraction must lie in (0, 1]"),
        ("hypergradient.batch_fraction=all", "hypergradient.batch_fraction must be a number"),
        ("hypergradient.directional_batches=-1", "directional_batches must be 0 or more"),
        ("hypergradient.directional_batches=1.5", "hypergradient.directional_batches must be a whole number"),
        ("learn.pretrain.lr=inf", "learn.pretrain.lr must be a finite number"),
        ("learn=null", "learn must be a group of options, got None"),
        ("finetune.optimiser.lr=fast", "finetune.optimiser.lr must be a number, got 'fast'"),
        ("finetune.optimiser.lr=-1", "lr > 0"),
        ("finetune.epochs=0", ">= 1"),
        ("finetune.augment=maybe", "finetune.augment must be true or false"),
        ("finetune.dropout=1", "finetune.dropout must be a number in [0, 1)"),
        ("finetune.dropout=x", "finetune.dropout must be a number, got 'x'"),
        ("finetune=null", "finetune must be a group of options"),
        ("augment=5", "augment must be a group of options, got 5"),
        ("augment.fill=red", "'white' or 'black'"),
        ("seed=abc", "seed must be a whole number, got 'abc'"),
        ("seed=true", "seed must be a whole number"),
        ("seed=-1", "seed must be between 0 and"),
        ("seed=99999999999999999999", "seed must be between 0 and"),
        ("threads=0", "threads must be >= 1 or null"),
        ("workers=-1", "workers must be >= 0 or null"),
        ("workers=1.5", "workers must be a whole number"),
        ("threads=all", "threads must be a whole number"),
        ("run_dir=null", "run_dir must be text"),
        ("device=null", "device must be text"),
        ("meta_fraction=2", "meta_fraction must be between 0 and 1"),
        ("views.jigsaw.classes=many", "views.jigsaw.classes must be a number, got 'many'"),
        ("+views.extra=3", "views.extra must be a group of options"),
        ("method=null", "unknown method 'None'"),
        ("corpus=file", "corpus=file needs corpus.path"),
        ("corpus.path=my.smi", "corpus=file corpus.path=my.smi"),
        ("corpus.limit=0", "corpus.limit must be"),
        ("dataset.targets=y", "dataset.targets must be a list"),
        ("dataset.aliases=5", "dataset.aliases must be a group of options, got 5"),
        ("dataset.aliases={a: 5}", "unknown option 'dataset.aliases.a'"),
        ("learn={setps: 5}", "unknown option 'learn.setps'. Did you mean 'learn.steps'"),
        ("split.fractions=5", "split.fractions must be a list, got 5"),
        ("split.fractions=[a,b,c]", "split.fractions[0] must be a number, got 'a'"),
        ("dataset.metric=rmse", "dataset.metric=rmse"),
        ("objectives.clusters_coarse.k=1", "objectives.clusters_coarse: Clusters needs k >= 2, got 1"),
        ("hypergradient.finetune.iterations=0", "hypergradient.finetune: a training horizon needs"),
        ("+hypergradient.extra=3", "unknown option in hypergradient 'extra'"),
        ("~seed", "the configuration needs seed"),
        ("~learn.steps", "learn needs steps"),
        ("~seeed", "unknown option 'seeed'. Did you mean 'seed'"),
        ("dataset@x=tox21", "unknown option 'dataset@x'. Did you mean 'dataset'"),
        ("datset.name=x", "unknown option 'datset.name'. Did you mean 'dataset.name'"),
        ("dataset=null", "Config group override must be a string"),
        ("run_dir=${nowhere}", "'nowhere' not found"),
        ("run_dir='${now:}'", "resolving interpolation"),
    ],
)
def test_wrong_values_are_refused(override, sentence):
    needed = {"dataset.metric": "dataset=bbbp", "hypergradient.finetune": "hypergradient=accurate"}
    more = [option for start, option in needed.items() if override.startswith(start)]
    assert sentence in refused(*more, override)


def test_a_run_needs_an_objective():
    assert "nothing to pretrain on" in refused(
        "objectives=tapt_min", "~objectives.clusters_coarse", "~objectives.jigsaw"
    )


# Configuration becomes code in one place, and only our code


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "pathlib.Path",
        "molweightx.objectives.jigsaw.JigsawPuzzle",
        "molweight.utils.files.Path",
        "molweight.utils.files.os.getcwd",
        "molweight.utils.files.write_text",
        "molweight.objectives.jigsaw.Jigsaw",
        "molweight",
        "molweight.",
        "null",
        "3",
    ],
)
def test_a_target_that_is_not_a_class_of_ours_is_refused(target):
    sentence = refused(f"objectives.jigsaw._target_={target}")
    assert "objectives.jigsaw needs the _target_ of a class inside molweight" in sentence


def test_a_class_of_ours_that_is_no_objective_is_refused():
    sentence = refused(
        "~objectives.jigsaw.classes", "objectives.jigsaw._target_=molweight.tapweight.inverse.Identity"
    )
    assert "must be an objective" in sentence


def test_a_target_inside_an_option_is_not_followed(tmp_path):
    trap = tmp_path / "trap"
    path = f"{{_target_:pathlib.Path,_args_:['{trap}']}}"
    option = f"+objectives.jigsaw.x={{_target_:pathlib.Path.touch,self:{path}}}"
    assert "objectives.jigsaw.x must be one value" in refused(option)
    assert not trap.exists()


def test_no_target_at_all_is_refused():
    assert "needs the _target_" in refused("objectives.jigsaw=3")


# Paths and odd characters


@pytest.mark.parametrize(
    "path",
    [
        "my.csv",
        "my data (1).csv",
        "a=b,c.csv",
        "it's.csv",
        r"C:\data\x.csv",
        "folder/C[=O]#.smi",
        r"x\'y.csv",
    ],
)
@pytest.mark.parametrize("group", ["dataset", "corpus", "split"])
def test_a_file_can_stand_for_a_group(group, path):
    config = load_config(f"{group}={path}")
    card = getattr(config.samples, group)
    assert card.path == path
    assert getattr(card, "name", None) == {"dataset": "csv", "corpus": "file", "split": None}[group]


def test_quoted_text_is_read_back_as_it_was():
    for text in ("", "\\", "'", "\\'", "\\\\'\\", "a b", "null", "1e-3", "[1]"):
        assert compose_config([f"dataset.path={quoted(text)}"]).dataset.path == text


@pytest.mark.parametrize(
    "override",
    ["CC(=O)O", "c1ccccc1", "smiles=C=O", "smiles=CC(=O)O", "dataset.path=C(=O", "{", "=", "a=b=c"],
)
def test_what_looks_like_a_smiles_gets_a_sentence(override):
    assert "predict RUN_DIR 'CCO'" in refused(override) or "unknown option" in refused(override)


@pytest.mark.parametrize(
    "override",
    [
        *("CCO", "c1ccccc1", "smiles=CCO", "SMILES=CCO", "smiles=CC(=O)O"),
        *("dataset=CCO", "dataset=c1ccccc1", "corpus=CCCl", "dataset=CC#N"),
    ],
)
def test_a_smiles_on_the_command_line_gets_a_way(override):
    assert "predict RUN_DIR 'CCO'" in refused(override)


@pytest.mark.parametrize("override", ["dataset=BBBP", "dataset=tox12", "dataset=mydata", "split=CCO"])
def test_a_misspelt_name_is_no_smiles(override):
    assert "predict RUN_DIR" not in refused(override)


def test_a_name_in_capitals_has_its_nearest_name():
    assert "Did you mean 'bbbp'?" in refused("dataset=BBBP")


@pytest.mark.parametrize(
    "key", ["objectives.clusters_fine.view", "learn.steps", "dataset.path", "corpus.name"]
)
def test_an_option_without_a_value_gets_a_sentence(key):
    assert refused(f"{key}=???") == f"{key} has no value (???): give it one"


@pytest.mark.parametrize("override", ["hypergradient=[1,2]", "dataset=[1]", "objectives=[true]"])
def test_a_list_for_a_group_gets_a_sentence(override):
    assert override in refused(override) and "one name" in refused(override)


# The configuration's hash, the folder, and Hydra's global state


def test_the_folder_of_the_cache_may_be_in_ones_home_or_absent():
    assert load_config("pretraining_cache='~/x'").pretraining_cache == Path("~/x").expanduser()
    assert load_config("pretraining_cache=").pretraining_cache is None


def test_the_hash_ignores_where_and_how_fast():
    plain = load_config("run_dir=a")
    other = load_config("run_dir=b", "device=cpu", "threads=1", "workers=0")
    assert plain.hash == other.hash and plain.text != other.text


@pytest.mark.parametrize(
    "override",
    ["seed=1", "learn.steps=76", "method=equal", "dataset=bbbp", "solver=native", "augment.fill=black"],
)
def test_the_hash_covers_what_decides_the_result(override):
    assert load_config(override).hash != load_config().hash


@pytest.mark.parametrize(
    ("override", "digest", "text"),
    [
        ("", "b09b44c952fb", "4f19c68f328c"),
        ("dataset=tox21", "0a606c4a36fa", "d50b30674b35"),
        ("experiment=smoke", "f2bed56c4b53", "f273842db8da"),
        ("experiment=paper_classification", "3134807cba6a", "e2e8396738e1"),
        ("corpus=task", "00b8300e60a9", "84992942667c"),
    ],
)
def test_runs_of_earlier_versions_are_resumed(override, digest, text):
    """Both come from version 0.1: a run is resumed by its hash, and ``config.yaml`` is for people."""
    config = load_config(*override.split(), "run_dir=r")
    assert config.hash.startswith(digest)
    assert hashlib.sha256(config.text.encode()).hexdigest().startswith(text)


def test_the_text_is_resolved_yaml():
    tree = yaml.safe_load(load_config("experiment=smoke", "views.jigsaw.classes=30").text)
    assert tree["objectives"]["jigsaw"]["classes"] == 30
    assert "hydra" not in tree and "experiment" not in tree


def test_the_default_folder_carries_the_data_set_and_the_time():
    path = load_config("dataset=esol").run_dir
    assert re.fullmatch(r"runs/esol/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", path.as_posix())


@pytest.mark.parametrize("override", ["seed=1", "sead=1", "dataset=tox2", "CC(=O)O"])
def test_hydra_is_left_as_it_was(override):
    def load():
        try:
            load_config(override)
        except ConfigError:
            assert override != "seed=1"

    GlobalHydra.instance().clear()
    load()
    assert not GlobalHydra.instance().is_initialized()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        load()
        assert GlobalHydra.instance().hydra is before
        assert compose("config", overrides=["seed=5"]).seed == 5


def test_loading_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    load_config()
    assert torch.equal(before, torch.get_rng_state())


def test_a_missing_package_is_found_before_any_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(ConfigError, match=r"method=pcgrad needs torchjd: pip install 'molweight\[torchjd\]'"):
        load_config("method=pcgrad")


def test_the_name_that_the_truncated_inverse_had_before_still_loads():
    option = "hypergradient.finetune._target_=molweight.tapweight.horizon.TrainingHorizon"
    before, now = (load_config("hypergradient=accurate", *more) for more in ((option,), ()))
    assert before.hypergradient == now.hypergradient
