"""Images at the size that a network takes: Pillow's antialiased bicubic, or torch's, and no change without need."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_sdk.errors import ImageError, InputError
from eas_sdk.images import as_float_batch, pick, to_square

SIDES = st.integers(1, 90)
SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))
KINDS = st.sampled_from(["noise", "black and white", "ramp", "white"])


def image(height: int, width: int, kind: str = "noise", seed: int = 0) -> np.ndarray:
    """uint8 [height, width, 3]; black and white has the edges at which bicubic filters go beyond the range."""
    rng = np.random.default_rng(seed)
    match kind:
        case "noise":
            return rng.integers(0, 256, (height, width, 3), np.uint8)
        case "black and white":
            coarse = rng.integers(0, 2, (-(-height // 5), -(-width // 5), 3), np.uint8) * 255
            return coarse.repeat(5, 0).repeat(5, 1)[:height, :width]
        case "ramp":
            rows, columns = np.mgrid[:height, :width]
            return np.stack([rows * 255 // height, columns * 255 // width, rows * 0 + 7], -1).astype(np.uint8)
        case _:
            return np.full((height, width, 3), 255, np.uint8)


def square(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


@given(shape=SHAPES, size=SIDES, kind=KINDS, seed=st.integers(0, 3))
def test_bytes_are_pillows(shape: tuple[int, int], size: int, kind: str, seed: int) -> None:
    images = pytest.importorskip("PIL.Image")
    pixels = image(*shape, kind, seed)
    expected = np.asarray(images.fromarray(square(pixels)).resize((size, size), images.Resampling.BICUBIC))
    made = to_square(pixels, size)
    assert (made.dtype, made.shape) == (np.uint8, (size, size, 3))
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(("height", "width", "size"), [(480, 640, 224), (224, 224, 96), (64, 64, 224), (601, 333, 128)])
@pytest.mark.parametrize("kind", ["noise", "black and white"])
def test_common_sizes_are_pillows(height: int, width: int, size: int, kind: str) -> None:
    images = pytest.importorskip("PIL.Image")
    pixels = image(height, width, kind)
    expected = np.asarray(images.fromarray(square(pixels)).resize((size, size), images.Resampling.BICUBIC))
    np.testing.assert_array_equal(to_square(pixels, size), expected)


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, size=SIDES, kind=KINDS)
def test_bytes_and_fractions_are_torchs(shape: tuple[int, int], size: int, kind: str) -> None:
    torch = pytest.importorskip("torch")
    pixels = image(*shape, kind)
    options: Any = {"size": (size, size), "mode": "bicubic", "antialias": True}
    planes = torch.from_numpy(square(pixels).copy()).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, **options)[0].permute(1, 2, 0).numpy()
    difference = np.abs(to_square(pixels, size).astype(int) - expected)
    assert difference.max() <= 2  # torch's weights have 16 bits
    assert (difference == 2).mean() < 0.01
    fractions = torch.nn.functional.interpolate(planes.double() / 255, **options)[0].permute(1, 2, 0).numpy()
    made = to_square(pixels / 255, size)
    assert made.dtype == (np.float64 if size == min(shape) else np.float32)
    np.testing.assert_allclose(made, fractions.clip(0, 1), atol=1e-5)


@given(height=st.integers(1, 60), width=st.integers(1, 60), floating=st.sampled_from([None, "f2", "f4", "f8"]))
def test_what_has_the_size_is_not_touched(height: int, width: int, floating: str | None) -> None:
    pixels = image(height, width)
    given = pixels if floating is None else (pixels / 255).astype(floating)
    made = to_square(given, min(height, width))
    assert np.shares_memory(made, given)
    assert made.dtype == given.dtype
    np.testing.assert_array_equal(made, square(given))
    batch = as_float_batch(given[None], min(height, width))
    whole = as_float_batch(square(given)[None], min(height, width))
    np.testing.assert_array_equal(batch, whole)
    scaled = square(pixels).astype(np.float32) / np.float32(255) if floating is None else square(given)
    np.testing.assert_array_equal(batch[0], scaled.astype(np.float32))


@given(size=SIDES, shapes=st.lists(SHAPES, min_size=1, max_size=4))
def test_a_list_is_its_images_one_by_one(size: int, shapes: list[tuple[int, int]]) -> None:
    images: list[np.ndarray] = [image(*shape, seed=i) for i, shape in enumerate(shapes)]
    images[-1] = images[-1] / 255  # dtypes may differ as well
    batch = as_float_batch(images, size)
    assert (batch.shape, batch.dtype) == ((len(images), size, size, 3), np.float32)
    assert 0 <= batch.min() <= batch.max() <= 1
    for i, (one, alone) in enumerate(zip(batch, images, strict=True)):
        np.testing.assert_array_equal(one, as_float_batch(alone[None], size)[0])
        np.testing.assert_array_equal(as_float_batch(pick(images, [i]), size)[0], one)
    np.testing.assert_array_equal(as_float_batch(tuple(images), size), batch)


def test_one_image_is_a_batch_of_one() -> None:
    np.testing.assert_array_equal(as_float_batch(image(7, 9), 8), as_float_batch(image(7, 9)[None], 8))
    np.testing.assert_array_equal(pick(image(7, 9), [0]), image(7, 9)[None])


def test_order_of_memory_and_other_channels_make_no_difference() -> None:
    pixels = np.stack([image(50, 50, seed=i) for i in range(3)])
    expected = as_float_batch(pixels, 32)
    flipped = np.ascontiguousarray(pixels[:, :, ::-1])[:, :, ::-1]
    for same in (np.asfortranarray(pixels), flipped, pixels.transpose(3, 0, 1, 2).copy().transpose(1, 2, 3, 0)):
        np.testing.assert_array_equal(as_float_batch(same, 32), expected)
    np.testing.assert_array_equal(as_float_batch(pixels[..., :2], 32, channels=2), expected[..., :2])


def test_a_large_photograph_takes_little_memory() -> None:
    photo = image(3000, 4000)
    tracemalloc.start()
    try:
        to_square(photo, 224)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < photo.nbytes  # and no copy of it in floating point, four or eight times as large


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (image(9, 9)[..., 0], r"got shape \(9, 9\) in entry 0"),
        (image(9, 9)[None, None], r"got shape \(1, 9, 9, 3\) in entry 0"),
        (image(9, 9)[None, :, :0], r"N, H, W >= 1; got shape \(1, 9, 0, 3\)"),
        (image(9, 9)[None, :0], "N, H, W >= 1"),
        (image(9, 9)[None, ..., :1], "got shape"),
        (image(9, 9)[None].astype(np.int32), "got dtype int32"),
        ([], "got an empty list"),
        ((), "got an empty tuple"),
        ([image(9, 9), image(9, 9)[None]], r"got shape \(1, 9, 9, 3\) in entry 1"),
        ([image(9, 9)[:0]], r"H, W >= 1; got shape \(0, 9, 3\)"),
        ([image(9, 9), None], "got a NoneType in entry 1"),
        ([image(9, 9) / 128], "values from 0 to 1.9"),
        ([np.full((3, 3, 3), np.nan)], "values from nan to nan"),
        (image(9, 9).tolist(), "got a list in entry 0"),
        ([b"x.png"], "got a bytes in entry 0"),
        (7, "got int"),
        (iter([image(9, 9)]), "got list_iterator"),
    ],
)
def test_what_is_refused(images: object, told: str) -> None:
    with pytest.raises(ImageError, match=f"N x H x W x 3.*paths of image files.*{told}"):
        as_float_batch(images, 8)


def test_a_value_out_of_range_is_told_wherever_it_lies() -> None:
    pixels = image(8, 30) / 255
    pixels[0, 0, 0] = 1.5  # outside the square
    with pytest.raises(ImageError, match=r"to 1\.5"):
        as_float_batch([pixels], 8)


@pytest.mark.parametrize(("pixels", "size"), [(image(9, 9)[:0], 8), (image(9, 9)[:, :0], 8), (image(9, 9), 0)])
def test_no_side_is_below_1(pixels: np.ndarray, size: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        to_square(pixels, size)
