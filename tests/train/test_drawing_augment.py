"""DrawingAugmentation: images stay images, equal seeds give equal views, and no strength at all changes nothing."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from train.tiny import drawings  # noqa: E402

from eas_train.data.drawing_augment import DrawingAugmentation, augment, blend_partners  # noqa: E402

NONE = DrawingAugmentation(**{f.name: 0.0 for f in dataclasses.fields(DrawingAugmentation)})


def rgba(each: int = 4) -> Tensor:
    return torch.from_numpy(drawings(each, 0).images).permute(0, 3, 1, 2).float() / 255


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [16, 24, 40])
def test_views_are_images(size: int) -> None:
    views = augment(rgba(), size, DrawingAugmentation(), rng())
    assert views.shape == (24, 3, size, size)
    assert torch.isfinite(views).all()
    assert views.min() >= 0
    assert views.max() <= 1
    assert views.std() > 0.1


def test_equal_seeds_give_equal_views_and_others_do_not() -> None:
    one, same, other = (augment(rgba(), 24, DrawingAugmentation(), rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_no_strength_at_all_is_the_drawing_on_its_background() -> None:
    x = rgba()
    on_white = x[:, :3] * x[:, 3:] + 1 - x[:, 3:]
    views = augment(x, 24, dataclasses.replace(NONE, p_white_background=1.0), rng())
    torch.testing.assert_close(views, on_white, rtol=0, atol=1e-4)


def test_transparent_pixels_lend_no_colour() -> None:
    """Drawings that differ where alpha is 0 look the same, however they are mixed or turned."""
    x = rgba()
    hidden = torch.where(x[:, 3:] > 0, x, torch.tensor([0.1, 0.9, 0.3, 0.0]).view(1, 4, 1, 1))
    for seed in range(3):
        one, other = (augment(d, 24, DrawingAugmentation(), rng(seed)) for d in (x, hidden))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
        one, other = (blend_partners(d, d.flip(0), 0.5, rng(seed)) for d in (x, hidden))
        torch.testing.assert_close(one * one[:, 3:], other * other[:, 3:], rtol=0, atol=1e-4)


def test_a_share_of_drawings_is_mixed_with_its_partner() -> None:
    x = rgba(20)
    partners = x.flip(0)
    mixed = blend_partners(x, partners, 0.25, rng())
    low, high = torch.minimum(x[:, 3], partners[:, 3]), torch.maximum(x[:, 3], partners[:, 3])
    assert ((mixed[:, 3] >= low - 1e-6) & (mixed[:, 3] <= high + 1e-6)).all()
    changed = ((mixed - x).abs() * x[:, 3:]).flatten(1).amax(1) > 1e-3
    assert 0.1 < float(changed.float().mean()) < 0.4
    assert torch.equal(blend_partners(x, partners, 0.0, rng())[:, 3], x[:, 3])
