"""Evaluation views: the same every time, and each a small variation of its drawing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_sdk.errors import ImageError, InputError
from eas_train.data.views import MIN_SCALE, views


def disc(side: int = 32, colour: tuple[int, int, int] = (255, 0, 255)) -> np.ndarray:
    """uint8 [1, side, side, 4]: an opaque disc; transparent pixels hold green, which must never show."""
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    inside = np.hypot(x, y) <= side / 2 - 1
    image = np.zeros((1, side, side, 4), np.uint8)
    image[0, ..., :3] = np.where(inside[..., None], colour, (0, 255, 0))
    image[0, ..., 3] = np.where(inside, 255, 0)
    return image


def random_drawings(count: int, side: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 4), dtype=np.uint8)


def is_disc(view: np.ndarray) -> np.ndarray:
    return (view[..., 0] > 200) & (view[..., 1] < 80) & (view[..., 2] > 200)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**40), size=st.integers(1, 40), count=st.integers(1, 4))
def test_a_view_depends_on_seed_index_and_view_alone(seed: int, size: int, count: int) -> None:
    images = random_drawings(3)
    once = views(images, count, size, seed)
    assert once.shape == (3, count, size, size, 3)
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(views(images, count, size, seed), once)
    np.testing.assert_array_equal(views(images[:2], count + 1, size, seed)[:, :count], once[:2])


def test_seed_index_and_view_each_change_the_view() -> None:
    images = np.repeat(disc(), 3, axis=0)
    a, b = views(images, 3, 32, 1), views(images, 3, 32, 2)
    distinct = {v.tobytes() for v in (*a[:, 1:].reshape(6, -1), *b[:, 1:].reshape(6, -1))}
    assert len(distinct) == 12
    np.testing.assert_array_equal(a[:, 0], b[:, 0])


def test_view_0_is_the_drawing_on_white() -> None:
    image = disc()
    view = views(image, 1, 32, 7)[0, 0]
    visible = image[0, ..., 3] == 255
    assert (view[~visible] == 255).all()
    assert (view[visible] == (255, 0, 255)).all()


def test_view_0_blends_straight_alpha() -> None:
    image = np.full((1, 8, 8, 4), (255, 0, 0, 51), np.uint8)
    assert (views(image, 1, 8, 0)[0, 0] == (255, 204, 204)).all()


def test_the_drawing_stays_whole_and_within_the_stated_scale() -> None:
    image = disc(64)
    full = int((image[..., 3] > 0).sum())
    areas = [int(is_disc(v).sum()) / full for v in views(image, 80, 64, 3)[0, 1:]]
    # The edge's mixed pixels are not counted as disc: some 5% of the area at this size.
    assert min(areas) > MIN_SCALE**2 * 0.9
    assert max(areas) < 1.02
    assert max(areas) - min(areas) > 0.15


def test_shifts_go_both_ways_but_not_out_of_the_picture() -> None:
    centres = []
    for view in views(disc(64), 80, 64, 3)[0, 1:]:
        y, x = np.nonzero(is_disc(view))
        centres.append((x.mean() - 31.5, y.mean() - 31.5))
    low, high = np.min(centres, axis=0), np.max(centres, axis=0)
    limit = (1 - MIN_SCALE) / 2 * 64
    assert (low > -limit - 0.5).all()
    assert (high < limit + 0.5).all()
    assert (low < -1).all()
    assert (high > 1).all()


def test_rotations_go_both_ways_by_at_most_twelve_degrees() -> None:
    bar = np.zeros((1, 64, 64, 4), np.uint8)
    bar[0, 28:36] = (255, 0, 255, 255)
    angles = []
    for view in views(bar, 80, 64, 5)[0, 1:]:
        y, x = np.nonzero(is_disc(view))
        angles.append(np.degrees(np.arctan(np.polyfit(x, y, 1)[0])))
    assert -13 < min(angles) < -6
    assert 6 < max(angles) < 13


def test_backgrounds_are_light_and_dark_plain_and_graded() -> None:
    nothing = np.zeros((1, 16, 16, 4), np.uint8)
    backgrounds = views(nothing, 120, 16, 0)[0, 1:].astype(int)
    light = backgrounds.mean(axis=(1, 2, 3))
    assert 30 < (light > 110).sum() < 89
    plain = np.ptp(backgrounds, axis=(1, 2)).max(axis=1) == 0
    assert 30 < plain.sum() < 89


def test_hidden_colours_of_transparent_pixels_do_not_bleed() -> None:
    dark = disc(32, colour=(0, 0, 0))
    clean = dark.copy()
    clean[dark[..., 3] == 0] = 0
    np.testing.assert_array_equal(views(dark, 10, 24, 0), views(clean, 10, 24, 0))


def test_what_is_out_of_range_is_refused() -> None:
    good = random_drawings(1)
    for bad in (
        good[..., :3],
        good[:, :4],
        good.astype(np.float32),
        good[0],
        np.zeros((1, 0, 0, 4), np.uint8),
    ):
        with pytest.raises(ImageError, match=r"uint8 \[N, S, S, 4\], got"):
            views(bad, 1, 8, 0)
    for count, size, seed, message in ((0, 8, 0, "count"), (1, 0, 0, "size"), (1, 8, -1, "seed")):
        with pytest.raises(InputError, match=f"{message} must be at least"):
            views(good, count, size, seed)
    assert views(good[:0], 2, 8, 0).shape == (0, 2, 8, 8, 3)
