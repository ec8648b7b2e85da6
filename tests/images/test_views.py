"""Views: tiles and masks, every random choice of a sample its own."""

from __future__ import annotations

import pytest
import torch
from pictures import COUNT, pictures

from molweight.errors import ConfigError
from molweight.images.transforms import Augmentation
from molweight.images.views import VIEWS, Jigsaw, Masked, ViewSet, permutations, permute_tiles
from molweight.training.draws import Draws

STILL = Augmentation(rotate=0, flip=0, grey=0)


def draws(count=COUNT, key=0):
    return Draws(key, samples=torch.arange(count))


def of_all(views, *args):
    """Views and targets together."""
    made, targets = views(*args)
    return made | targets


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
    clean = pictures()
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
    assert moved.dtype == torch.uint8
    assert (moved[:, :, 3 * side :] == 255).all(), "what is left over by 3 stays white"


def test_jigsaw_keeps_about_the_stated_share_whole():
    pixels = pictures().repeat(32, 1, 1, 1)
    made = Jigsaw(identity=0.8).make(pixels, {}, STILL, draws(len(pixels)))
    share = (made["jigsaw_order"] == 0).float().mean().item()
    assert abs(share - (0.8 + 0.2 / 101)) < 4 * (0.8 * 0.2 / 1024) ** 0.5
    assert made["jigsaw_order"].max() <= 100
    whole = made["jigsaw_order"] == 0
    side = pixels.shape[-1] // 3 * 3
    assert torch.equal(made["jigsaw"][whole][:, :, :side, :side], pixels[whole][:, :, :side, :side])
    assert not torch.equal(made["jigsaw"][~whole], pixels[~whole])


def test_mask_is_one_square_of_channel_means():
    plain = pictures()
    made = Masked(size=10).make(plain, {"plain": plain}, Augmentation(), draws())["masked"]
    assert made.dtype == torch.uint8
    for before, after in zip(plain, made, strict=True):
        changed = (before != after).any(dim=0)
        rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
        assert rows.max() - rows.min() < 10 and columns.max() - columns.min() < 10
        assert changed.any()
        values = after[:, changed].double()
        means = before.double().mean(dim=(1, 2))[:, None].expand_as(values)
        torch.testing.assert_close(values, means, atol=0.5001, rtol=0)  # rounded to whole numbers


def test_masks_lie_everywhere():
    n, side, size = 2000, 12, 3
    black = torch.zeros(n, 3, side, side, dtype=torch.uint8)
    black[:, :, 0, 0] = 255  # so that the mean is not the background
    made = Masked(size=size).make(black, {"plain": black}, STILL, draws(n))["masked"]
    covered = (made != black).any(dim=1).float().mean(dim=0)
    expected = (size / (side - size + 1)) ** 2  # of an inner pixel
    inner = covered[size:-size, size:-size]
    assert (inner - expected).abs().max() < 5 * (expected * (1 - expected) / n) ** 0.5
    assert covered.min() > 0, "the corners too"


def test_a_samples_views_do_not_depend_on_its_batch():
    """Same sample, other batch sizes, orders and neighbours: the same pixels and targets."""
    views = ViewSet(VIEWS, Augmentation())
    whole = of_all(views, pictures(), draws())
    assert set(whole) == {"plain", "jigsaw", "masked", "jigsaw_order"}
    shuffled = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    for chosen in (shuffled, shuffled[:7], shuffled[:1], torch.arange(3, 20)):
        part = of_all(views, pictures()[chosen], Draws(0, samples=chosen))
        for name, values in whole.items():
            assert torch.equal(part[name], values[chosen]), name
    other = of_all(views, pictures(), draws(key=1))
    assert all(not torch.equal(other[name], values) for name, values in whole.items())


def test_a_view_does_not_depend_on_the_others():
    every = of_all(ViewSet(VIEWS, Augmentation()), pictures(), draws())
    for names in (("jigsaw",), ("plain",), ("masked",)):
        for name, values in of_all(ViewSet(names, Augmentation()), pictures(), draws()).items():
            assert torch.equal(values, every[name]), name


def test_views_of_one_sample_are_turned_independently():
    views = ViewSet(("plain", "jigsaw"), Augmentation(), {"jigsaw": {"identity": 1.0}})
    made, _ = views(pictures(), draws())
    side = pictures().shape[-1] // 3 * 3
    same = (made["plain"] == made["jigsaw"])[..., :side, :side].all(dim=(1, 2, 3))
    assert not same.any()


def test_pictures_are_not_changed():
    before = pictures().clone()
    ViewSet(VIEWS, STILL)(pictures(), draws())
    assert torch.equal(pictures(), before)


def test_only_what_is_asked_for_is_made():
    made, targets = ViewSet(("jigsaw",), Augmentation())(pictures(), draws())
    assert set(made) == {"jigsaw"} and set(targets) == {"jigsaw_order"}
    both, none = ViewSet(("masked",), Augmentation())(pictures(), draws())
    assert set(both) == {"plain", "masked"} and none == {}, "masked needs plain"


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Jigsaw(classes=0), "1 to 1000 classes"),
        (lambda: ViewSet(("plain",), Augmentation(), {"jigsau": {}}), "unknown view"),
        (
            lambda: ViewSet(("masked",), Augmentation(), {"masked": {"size": 64}})(pictures(), draws()),
            "side",
        ),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
