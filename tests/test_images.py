"""Checking images."""

from __future__ import annotations

import numpy as np
import pytest

from eas_sdk.errors import ImageError
from eas_sdk.images import as_float_batch

SIZE = 6
BYTES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_bytes_equal_their_fractions(dtype: str) -> None:
    every = np.arange(256, dtype=np.uint8)
    images = np.broadcast_to(every[:, None, None, None], (256, SIZE, SIZE, 3))
    batch = as_float_batch(images, SIZE)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, as_float_batch((images / 255).astype(dtype), SIZE))
    assert (batch[0].max(), batch[-1].min()) == (0, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_any_memory_order_is_taken(dtype: type) -> None:
    images = BYTES if dtype == np.uint8 else (BYTES / 255).astype(dtype)
    expected = as_float_batch(images, SIZE)
    for view in (np.asfortranarray(images), np.repeat(images, 2, axis=0)[::2], images[::-1][::-1]):
        batch = as_float_batch(view, SIZE)
        assert batch.flags.c_contiguous
        np.testing.assert_array_equal(batch, expected)


def test_the_callers_array_is_not_changed() -> None:
    images = BYTES / 255
    before = images.copy()
    as_float_batch(images, SIZE)
    np.testing.assert_array_equal(images, before)


def fault(value: float, dtype: type = np.float32) -> np.ndarray:
    images = np.full((2, SIZE, SIZE, 3), 0.5, dtype)
    images[1, 2, 3, 1] = value
    return images


@pytest.mark.parametrize(
    ("images", "named"),
    [
        (None, "NoneType"),
        ([[0]], "list"),
        (BYTES.tolist(), "list"),
        ("image.png", "str"),
        (BYTES[0], r"images\[None\]"),
        (BYTES[:0], r"\(0, 6, 6, 3\)"),
        (BYTES[..., :1], r"\(5, 6, 6, 1\)"),
        (BYTES[..., 0], r"\(5, 6, 6\)"),
        (BYTES[:, 1:], r"\(5, 5, 6, 3\)"),
        (BYTES.transpose(0, 3, 1, 2), r"\(5, 3, 6, 6\)"),
        (BYTES[None], r"\(1, 5, 6, 6, 3\)"),
        (np.zeros(()), r"\(\)"),
        (BYTES.astype(np.int8), "int8"),
        (BYTES.astype(np.uint16), "uint16"),
        (BYTES.astype(np.int64), "int64"),
        (BYTES > 7, "bool"),
        (BYTES.astype(complex), "complex128"),
        (BYTES.astype(object), "object"),
        (BYTES.astype(str), "U3"),
        (fault(np.nan), "nan"),
        (fault(np.inf), "inf"),
        (fault(-np.inf), "-inf"),
        (fault(1.001), "1.001"),
        (fault(-1e-6), "-1e-06"),
        (fault(255.0), "255"),
        (fault(np.nan, np.float64), "nan"),
        (fault(2, np.float16), "2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_batch_is_named(images: object, named: str) -> None:
    with pytest.raises(ImageError, match=f"N x 6 x 6 x 3.*got .*{named}") as caught:
        as_float_batch(images, SIZE)
    assert len(str(caught.value)) < 300
