"""Views: tiles, masks and turns, with every random choice from the generator."""

from __future__ import annotations

import pytest
import torch
from pictures import COUNT, pictures

from molweight.errors import ConfigError
from molweight.objectives.augment import LUMA, MEAN, STD, Augmentation, as_float, normalised
from molweight.objectives.views import Jigsaw, Masked, ViewSet, permutations, permute_tiles


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_permutations_are_distinct_and_fixed():
    table = permutations(100)
    assert table.shape == (100, 9)
    assert (table.sort(dim=1).values == torch.arange(9)).all()
    assert len({tuple(row) for row in table.tolist()}) == 100
    assert tuple(range(9)) not in {tuple(row) for row in table.tolist()}
    distance = (table[:, None] != table[None]).sum(dim=2) + 9 * torch.eye(100).long()
    assert distance.min() >= 6, "classes that share many tiles cannot be told apart"
    assert torch.equal(table[:20], permutations(20)), "a larger set extends a smaller one"


def test_tiles_move_where_the_order_says():
    clean = as_float(pictures())
    order = permutations(COUNT)
    moved = permute_tiles(clean, order)
    side = clean.shape[-1] // 3
    for i in (0, 7, COUNT - 1):
        for t in range(9):
            row, column = divmod(t, 3)
            from_row, from_column = divmod(order[i, t].item(), 3)
            to = (slice(row * side, row * side + side), slice(column * side, column * side + side))
            source = (
                slice(from_row * side, from_row * side + side),
                slice(from_column * side, from_column * side + side),
            )
            assert torch.equal(moved[i][:, to[0], to[1]], clean[i][:, source[0], source[1]])
    assert (moved[:, :, 3 * side :] == 1).all(), "what is left over by 3 stays white"


def test_jigsaw_keeps_about_the_stated_share_whole():
    pixels = as_float(pictures()).repeat(32, 1, 1, 1)
    made = Jigsaw(identity=0.8).make(pixels, {}, Augmentation(rotate=0, flip=0, grey=0), generator())
    share = (made["jigsaw_order"] == 0).float().mean().item()
    assert abs(share - (0.8 + 0.2 / 101)) < 4 * (0.8 * 0.2 / 1024) ** 0.5
    assert made["jigsaw_order"].max() <= 100
    whole = made["jigsaw_order"] == 0
    side = pixels.shape[-1] // 3 * 3
    kept = made["jigsaw"][whole][:, :, :side, :side]
    torch.testing.assert_close(kept, pixels[whole][:, :, :side, :side], atol=1e-6, rtol=0)
    assert not torch.equal(made["jigsaw"][~whole], pixels[~whole])


def test_mask_is_one_square_of_channel_means():
    plain = as_float(pictures())
    made = Masked(size=10).make(plain, {"plain": plain}, Augmentation(), generator())["masked"]
    for before, after in zip(plain, made, strict=True):
        changed = (before != after).any(dim=0)
        rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
        assert rows.max() - rows.min() < 10 and columns.max() - columns.min() < 10
        assert changed.any()
        values = after[:, changed]
        torch.testing.assert_close(values, before.mean(dim=(1, 2))[:, None].expand_as(values))


def test_rotation_uncovers_the_fill_colour_and_keeps_the_middle():
    black = torch.zeros(64, 3, 33, 33)
    for fill, corner in (("white", 1.0), ("black", 0.0)):
        turned = Augmentation(flip=0, grey=0, rotate=360, fill=fill)(black, generator())
        assert turned[:, :, 16, 16].abs().max() < 1e-6
        assert (turned[:, 0, 0, 0] == corner).float().mean() > 0.5


def test_quarter_turns_and_flips_are_exact():
    pixels = as_float(pictures())
    mirrored = Augmentation(flip=1, grey=0, rotate=0)(pixels, generator())
    torch.testing.assert_close(mirrored, pixels.flip(3), atol=1e-6, rtol=0)
    same = Augmentation(flip=0, grey=0, rotate=0)(pixels, generator())
    torch.testing.assert_close(same, pixels, atol=1e-6, rtol=0)


def test_grey_uses_the_luma_weights():
    pixels = as_float(pictures())
    grey = Augmentation(flip=0, grey=1, rotate=0)(pixels, generator())
    expected = sum(w * pixels[:, i] for i, w in enumerate(LUMA))
    for channel in range(3):
        torch.testing.assert_close(grey[:, channel], expected, atol=1e-6, rtol=0)


def test_normalised_is_imagenets():
    pixels = torch.rand(2, 3, 4, 4)
    for channel in range(3):
        expected = (pixels[:, channel] - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(normalised(pixels)[:, channel], expected)


def test_only_what_is_asked_for_is_made():
    assert set(ViewSet(("jigsaw",), Augmentation())(pictures(), generator())) == {
        "view/jigsaw",
        "jigsaw_order",
    }
    both = ViewSet(("masked",), Augmentation())(pictures(), generator())
    assert set(both) == {"view/plain", "view/masked"}, "masked needs plain"


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Augmentation(flip=2), "flip and grey"),
        (lambda: Augmentation(fill="red"), "'white' or 'black'"),
        (lambda: Jigsaw(classes=0), "1 to 1000 classes"),
        (lambda: ViewSet(("plain",), Augmentation(), {"jigsau": {}}), "unknown view"),
        (
            lambda: ViewSet(("masked",), Augmentation(), {"masked": {"size": 64}})(pictures(), generator()),
            "side",
        ),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
