"""The pictures that a bundle carries: what they take, how near they are to the images, and what is refused."""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, patches, random_bundle

import eas_sdk
from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.container_writer import write
from eas_sdk.bank.pictures import CODED, MOST_BYTES, Pictures, decode, encode
from eas_sdk.errors import BundleError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(random_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.mark.parametrize("side", [1, 7, 8, 20, 33, 64])
def test_images_come_back_about_as_they_were(side: int) -> None:
    smooth = np.linspace(0, 255, side * side * 3).reshape(side, side, 3)
    images = np.stack([smooth, smooth.transpose(1, 0, 2), smooth[::-1], np.full_like(smooth, 255)]).astype(np.uint8)
    pictures = Pictures(side, (0,), (1, 2, 0))
    found = decode(encode(images), pictures, range(4))
    assert (found.shape, found.dtype) == (images.shape, np.dtype(np.uint8))
    assert np.abs(found.astype(int) - images).mean() < 6
    np.testing.assert_array_equal(decode(encode(images), pictures, [3, 1]), found[[3, 1]])


def test_edges_and_colours_stay(bundle: Bundle) -> None:
    images = patches(6, 64)
    found = decode(encode(images), Pictures(64, (0,) * 6, ()), range(6))
    assert np.abs(found.astype(int) - images).mean() < 6


@pytest.mark.parametrize(("name", "least", "kilobytes"), [("photos", 2, 4), ("emoji", 7, 1)])
def test_the_shipped_bundles_have_some_of_each_task_in_little_room(name: str, least: int, kilobytes: int) -> None:
    shipped = eas_sdk.load(name).bundle
    assert shipped.pictures is not None
    owner = [t for t, s in enumerate(shipped.superclasses) for _ in s.labels]
    assert np.bincount([owner[c] for c in shipped.pictures.proof], minlength=len(shipped.superclasses)).min() >= least
    assert shipped.tensors[CODED].nbytes < 1024 * kilobytes * shipped.pictures.count


def test_they_are_optional(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.calibration_images is not None
    assert bundle.calibration_images.shape == (4, 32, 32, 3)
    assert bundle.proof_images([1, 5]).shape == (2, 32, 32, 3)
    bare = bundles.read(random_bundle(tmp_path, calibration_images=0, proof_images=0))
    assert bare.pictures is None
    assert bare.calibration_images is None
    assert CODED not in bare.tensors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": SPACE.input_sizes[0] + 1}, "a side of 32 at most"),
        ({"side": 0}, "a side of 32 at most"),
        ({"side": "32"}, "has a 'side'"),
        ({"proof": [12]}, "classes below 12"),
        ({"proof": [-1]}, "classes below 12"),
        ({"proof": [True]}, "the class of each"),
        ({"proof": None}, "the class of each"),
        ({"calibration": [[0]]}, "the class of each"),
        ({"calibration": [0] * (MOST_BYTES // 3072 + 1)}, "bytes at most when unpacked"),
    ],
)
def test_malformed_sections_are_refused(
    bundle: Bundle, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    metadata = bundle.metadata()
    metadata["pictures"] = metadata["pictures"] | change
    path = tmp_path / "altered.safetensors"
    write(path, bundle.tensors, {"eas": metadata})
    with pytest.raises(BundleError, match=message) as caught:
        bundles.read(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("coded", [None, np.zeros(9, np.float32), np.zeros((3, 3), np.uint8)])
def test_a_tensor_of_another_kind_is_refused(bundle: Bundle, coded: np.ndarray | None) -> None:
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if name != CODED}
    if coded is not None:
        tensors[CODED] = coded
    with pytest.raises(BundleError, match="'pictures/coded' is uint8 of shape"):
        bundles.check(dataclasses.replace(bundle, tensors=tensors))


def test_damaged_bytes_and_other_numbers_of_pictures_are_refused(bundle: Bundle) -> None:
    good = bundle.tensors[CODED]
    huge = np.frombuffer(zlib.compress(bytes(2**26), 9), np.uint8)
    for bad in (good[:-9], good[::-1], good[:0], huge, encode(patches(3, 32))):
        altered = dataclasses.replace(bundle, tensors={**bundle.tensors, CODED: np.ascontiguousarray(bad)})
        bundles.check(altered)
        with pytest.raises(BundleError, match="'pictures/coded'"):
            _ = altered.calibration_images
