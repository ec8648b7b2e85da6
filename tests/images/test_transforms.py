"""Augmentation on uint8: torchvision's v2 kernels picture by picture are the oracle."""

from __future__ import annotations

import math

import pytest
import torch
from pictures import COUNT, pictures
from torchvision.transforms import v2

from molweight.errors import ConfigError
from molweight.images.transforms import MEAN, STD, Augmentation, normalised, rotated
from molweight.training.draws import Draws


def draws(count=COUNT, key=0):
    return Draws(key, samples=torch.arange(count))


def near_a_border(height, width, degrees, *, within=1e-3):
    """Pixels whose source lies about halfway between two, where float32 may round either way, [H, W]."""
    y = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64)[None] - (width - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    column, row = cos * x - sin * y + (width - 1) / 2, sin * x + cos * y + (height - 1) / 2
    return ((column % 1 - 0.5).abs() < within) | ((row % 1 - 0.5).abs() < within)


@pytest.mark.parametrize("fill", [255, 0, 17])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 33), (31, 40)])
def test_rotation_is_torchvisions_picture_by_picture(height, width, fill):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (COUNT, 3, height, width), generator=generator, dtype=torch.uint8)
    degrees = torch.linspace(-360, 360, COUNT, dtype=torch.float64)  # none but the ends is a right angle
    turned = rotated(noise, degrees, fill)
    judged = 0
    for picture, angle, found in zip(noise, degrees.tolist(), turned, strict=True):
        expected = v2.functional.rotate(picture, angle, fill=[fill])
        clear = ~near_a_border(height, width, angle)
        assert torch.equal(found[:, clear], expected[:, clear])
        judged += clear.sum().item()
    assert judged > 0.99 * COUNT * height * width


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, -1])
def test_quarter_turns_are_exact(turns):
    degrees = torch.full((COUNT,), 90.0 * turns, dtype=torch.float64)
    assert torch.equal(rotated(pictures(), degrees, 0), pictures().rot90(turns, (2, 3)))


def test_everything_is_torchvisions_picture_by_picture():
    augment, chosen = Augmentation(flip=0.5, grey=0.3, rotate=90, fill="black"), draws(4 * COUNT)
    originals = pictures().repeat(4, 1, 1, 1)
    before = originals.clone()
    varied = augment(originals, chosen)
    assert varied.dtype == torch.uint8 and torch.equal(originals, before)
    flips, greys = (chosen.uniform("flip") < 0.5).tolist(), (chosen.uniform("grey") < 0.3).tolist()
    angles = ((2 * chosen.uniform("angle") - 1) * 90).tolist()
    assert 0 < sum(flips) < len(flips) and 0 < sum(greys) < len(greys) and min(angles) < 0 < max(angles)
    for i, picture in enumerate(originals):
        expected = v2.functional.horizontal_flip(picture) if flips[i] else picture
        if greys[i]:
            expected = v2.functional.rgb_to_grayscale(expected, num_output_channels=3)
        expected = v2.functional.rotate(expected, angles[i], fill=[0])
        clear = ~near_a_border(*picture.shape[1:], angles[i])
        assert torch.equal(varied[i][:, clear], expected[:, clear])


@pytest.mark.parametrize("augment", [Augmentation(), Augmentation(rotate=0), Augmentation(fill="black")])
def test_a_pictures_variant_does_not_depend_on_its_batch(augment):
    """Same sample, other batch sizes, orders and neighbours: the same pixels."""
    whole = augment(pictures(), draws())
    shuffled = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    for chosen in (shuffled, shuffled[:7], shuffled[:1], torch.arange(3, 20)):
        assert torch.equal(augment(pictures()[chosen], Draws(0, samples=chosen)), whole[chosen])
    assert not torch.equal(augment(pictures(), draws(key=1)), whole)


def test_pictures_turned_in_several_portions_are_turned_alike(monkeypatch):
    whole = Augmentation()(pictures(), draws())
    side = pictures().shape[-1]
    for portion in (1, 5 * side * side):
        monkeypatch.setattr("molweight.images.transforms.AT_ONCE", portion)
        assert torch.equal(Augmentation()(pictures(), draws()), whole)


def test_nothing_switched_on_changes_nothing():
    assert torch.equal(Augmentation(flip=0, grey=0, rotate=0)(pictures(), draws()), pictures())
    assert torch.equal(Augmentation(flip=1, grey=0, rotate=0)(pictures(), draws()), pictures().flip(3))


def test_shares_are_as_stated():
    n = 2000
    half = torch.zeros(n, 3, 2, 2, dtype=torch.uint8)
    half[..., 0] = torch.tensor([200, 100, 0], dtype=torch.uint8)[:, None]
    varied = Augmentation(flip=0.5, grey=0.2, rotate=0)(half, draws(n))
    flipped = varied[:, 0, :, 0].sum(dim=1) == 0
    grey = (varied[:, 0] == varied[:, 1]).all(dim=(1, 2))
    for share, expected in ((flipped, 0.5), (grey, 0.2)):
        assert abs(share.float().mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / n)
    both = (flipped & grey).float().mean()
    assert abs(both - 0.1) < 4 * math.sqrt(0.1 * 0.9 / n), "one says nothing of the other"


def test_rotation_uncovers_the_fill_colour_and_keeps_the_middle():
    grey = torch.full((64, 3, 33, 33), 100, dtype=torch.uint8)
    for fill, corner in (("white", 255), ("black", 0)):
        turned = Augmentation(flip=0, grey=0, rotate=360, fill=fill)(grey, draws(64))
        assert (turned[:, :, 16, 16] == 100).all()
        assert (turned[:, 0, 0, 0] == corner).float().mean() > 0.5


def test_normalised_is_imagenets():
    picture = pictures()
    found = normalised(picture)
    assert found.dtype == torch.float32 and found.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        expected = (picture[:, channel].double() / 255 - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(found[:, channel].double(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Augmentation(flip=2), "flip and grey"),
        (lambda: Augmentation(rotate=361), "rotate in"),
        (lambda: Augmentation(fill="red"), "'white' or 'black'"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
