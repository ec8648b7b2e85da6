"""Backbones, the files they come from, and ImageMol's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import RidgeCV
from torchvision.models import resnet18

from molweight.__main__ import main
from molweight.config.image_run import load_config
from molweight.config.named_specs import dataset_spec
from molweight.data.datasets import load_dataset
from molweight.data.splits.splits import split
from molweight.errors import ConfigError, DataError
from molweight.images.pictures import Pictures
from molweight.images.transforms import normalised
from molweight.models.convert import convert_imagemol, convert_to_imagemol
from molweight.models.resnet import SHIPPED, ResNet18, make_backbone, shipped
from molweight.models.task_model import PictureModel
from molweight.utils.files import sha256_file
from molweight.utils.tensor_files import save_tensors


def imagemol_file(path, **changes):
    """A checkpoint in ImageMol's layout (pretrain.py: arch, state_dict), from a seeded ResNet-18."""
    torch.manual_seed(0)
    network = resnet18()
    embedding = torch.nn.Sequential(*list(network.children())[:-1])  # ImageMol, model/model.py
    state = {f"embedding_layer.{name}": tensor for name, tensor in embedding.state_dict().items()}
    for head, classes in (("jigsaw_classifier", 101), ("class_classifier1", 100)):
        layer = torch.nn.Linear(512, classes)
        state |= {f"{head}.weight": layer.weight.detach(), f"{head}.bias": layer.bias.detach()}
    state |= changes
    torch.save({"arch": "ResNet18", "state_dict": state}, path)
    return network


def test_full_width_is_torchvisions_network():
    torch.manual_seed(3)
    ours = ResNet18()
    torch.manual_seed(3)
    theirs = resnet18()
    theirs.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 64, 64)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.dim == ours(x).shape[1] == 512


def test_quarter_width_has_the_same_layers_and_a_sixteenth_of_the_weights():
    tiny, full = ResNet18(width=16), ResNet18()
    assert tiny.state_dict().keys() == full.state_dict().keys()
    count = sum(p.numel() for p in tiny.parameters())
    assert 0.06 < count / sum(p.numel() for p in full.parameters()) < 0.07
    assert tiny(torch.randn(2, 3, 64, 64)).shape == (2, tiny.dim) == (2, 128)


def test_imagemol_weights_give_the_same_embeddings(tmp_path):
    network = imagemol_file(tmp_path / "ImageMol.pth.tar")
    found = convert_imagemol(tmp_path / "ImageMol.pth.tar", tmp_path / "out.safetensors")
    assert found == {"tensors": 120, "heads": 4}  # ImageMol, finetune.py: the first 120 keys
    backbone = make_backbone(width=64, init=str(tmp_path / "out.safetensors"), seed=9)
    network.fc = torch.nn.Identity()
    network.eval(), backbone.eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(backbone(x), network(x))


def test_weights_saved_by_data_parallel_are_understood(tmp_path):
    imagemol_file(tmp_path / "a.pth.tar")
    content = torch.load(tmp_path / "a.pth.tar", weights_only=True)
    state = {f"module.{name}": tensor for name, tensor in content["state_dict"].items()}
    torch.save({"arch": "ResNet18", "state_dict": state}, tmp_path / "b.pth.tar")
    assert convert_imagemol(tmp_path / "b.pth.tar", tmp_path / "b.safetensors")["tensors"] == 120


def test_convert_command(tmp_path, capsys):
    imagemol_file(tmp_path / "ImageMol.pth.tar")
    assert main(["convert", str(tmp_path / "ImageMol.pth.tar"), str(tmp_path / "o.safetensors")]) == 0
    assert "120 tensors of the backbone" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "none"), str(tmp_path / "o.safetensors")]) == 5
    assert "there is no file" in capsys.readouterr().err


def test_our_weights_are_read_as_imagemol_reads_its_own_and_come_back(tmp_path, capsys):
    torch.manual_seed(4)
    backbone = ResNet18().eval()
    (tmp_path / "run").mkdir()
    save_tensors(backbone, tmp_path / "run" / "backbone.safetensors")
    assert main(["convert", str(tmp_path / "run"), str(tmp_path / "ours.pth.tar")]) == 0
    assert "120 tensors" in capsys.readouterr().out
    content = torch.load(tmp_path / "ours.pth.tar", weights_only=True)
    network = resnet18(num_classes=3)  # ImageMol, finetune.py: the first 120, by their order
    theirs = network.state_dict()
    for name, tensor in zip(list(theirs)[:120], content["state_dict"].values(), strict=True):
        theirs[name] = tensor
    network.load_state_dict(theirs)
    network.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network.eval()(x), backbone(x))
    convert_imagemol(tmp_path / "ours.pth.tar", tmp_path / "back.safetensors")
    back = make_backbone(width=64, init=str(tmp_path / "back.safetensors"), seed=0)
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in backbone.state_dict().items())


def test_only_the_full_width_becomes_imagemols(tmp_path):
    with pytest.raises(DataError, match=r"backbone=resnet18"):
        convert_to_imagemol(SHIPPED / f"{shipped()[0]}.safetensors", tmp_path / "x.pth.tar")
    with pytest.raises(DataError, match="cannot read"):
        convert_to_imagemol(tmp_path / "gone.safetensors", tmp_path / "x.pth.tar")
    assert not (tmp_path / "x.pth.tar").exists()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": {"embedding_layer.0.weight": Trap()}}, tmp_path / "evil.pth.tar")
    with pytest.raises(DataError, match="read safely"):
        convert_imagemol(tmp_path / "evil.pth.tar", tmp_path / "o.safetensors")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content, words",
    [
        ({"weights": 1}, "no 'state_dict'"),
        ({"state_dict": {"embedding_layer.0.weight": torch.zeros(3)}}, "120 of 120|missing"),
    ],
)
def test_other_layouts_are_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "x.pth.tar")
    with pytest.raises(DataError, match=words):
        convert_imagemol(tmp_path / "x.pth.tar", tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()


def test_missing_partial_and_foreign_weights_are_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"backbone\.init=random"):
        make_backbone(width=4, init=None, seed=0)
    with pytest.raises(DataError, match=r"no file .*backbone\.init=random"):
        make_backbone(width=4, init=str(tmp_path / "gone.safetensors"), seed=0)
    state = {name: tensor.contiguous() for name, tensor in ResNet18(width=4).state_dict().items()}
    partial = {name: tensor for name, tensor in state.items() if not name.startswith("layer4.1")}
    save_file(partial, tmp_path / "partial.safetensors")
    with pytest.raises(DataError, match=r"missing layer4\.1"):
        make_backbone(width=4, init=str(tmp_path / "partial.safetensors"), seed=0)
    save_file(state, tmp_path / "narrow.safetensors")
    with pytest.raises(DataError, match=r"is \[4, 3, 7, 7\], expected \[8, 3, 7, 7\]"):
        make_backbone(width=8, init=str(tmp_path / "narrow.safetensors"), seed=0)
    (tmp_path / "ImageMol.pth.tar").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="molweight convert"):
        make_backbone(width=4, init=str(tmp_path / "ImageMol.pth.tar"), seed=0)


def test_every_shipped_backbone_is_the_one_that_its_card_describes():
    assert "tiny_zinc250k" in shipped()
    for name in shipped():
        card = (SHIPPED / f"{name}.md").read_text(encoding="utf-8")
        assert sha256_file(SHIPPED / f"{name}.safetensors") in card


def test_the_default_backbone_starts_from_shipped_weights():
    recipe = load_config().samples.backbone
    assert recipe.init == "tiny_zinc250k" and recipe.width == 16
    one, two = (make_backbone(width=16, init=recipe.init, seed=seed) for seed in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    with pytest.raises(DataError, match=r"does not hold this backbone .*backbone\.init=random"):
        make_backbone(width=4, init=recipe.init, seed=0)
    with pytest.raises(DataError, match=r"no shipped weights of that name \(tiny_zinc250k\)"):
        make_backbone(width=16, init="tiny_zinc", seed=0)


def test_shipped_weights_know_more_than_random_ones():
    """A ridge regression on the embeddings of molecules that pretraining did not see."""
    data = load_dataset(dataset_spec("chembl2321810"))
    pictures = Pictures(data.smiles, 64, progress=False)
    parts = split(data.smiles, data.targets, kind="scaffold")
    truth = data.targets[:, 0]

    def error(init: str) -> float:
        backbone = make_backbone(width=16, init=init, seed=0).eval()
        with torch.no_grad():
            found = [backbone(normalised(pictures[i])) for i in torch.arange(len(data.smiles)).split(256)]
        x = torch.cat(found).double().numpy()
        x = (x - x[parts.train].mean(0)) / x[parts.train].std(0).clip(1e-6)
        model = RidgeCV(np.logspace(0, 5, 11)).fit(x[parts.train], truth[parts.train])
        return float(np.sqrt(np.mean((model.predict(x[parts.valid]) - truth[parts.valid]) ** 2)))

    assert error("tiny_zinc250k") < error("random")


def test_saved_weights_come_back_bit_for_bit(tmp_path):
    one = make_backbone(width=4, init="random", seed=5)
    save_tensors(one, tmp_path / "w.safetensors")
    two = make_backbone(width=4, init=str(tmp_path / "w.safetensors"), seed=6)
    assert all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def test_task_model_copies_its_backbone():
    backbone = ResNet18(width=4)
    model = PictureModel(backbone, outputs=3, dropout=0.0, seed=1)
    before = backbone.conv1.weight.clone()
    outputs = model({"pixels": torch.randn(2, 3, 32, 32)})
    assert outputs.shape == (2, 3)
    with torch.no_grad():
        model.backbone.conv1.weight.zero_()
    assert torch.equal(backbone.conv1.weight, before)
