"""Image sets: what they refuse, and that a folder gives back what was saved or says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_sdk.errors import DataError
from eas_train.data.imageset import (
    ImageSet,
    Superclass,
    concatenate,
    load,
    read_manifest,
    save,
    superclass_of_class,
)
from eas_train.data.splits import Splits, evenly, first_of_each

SUPERCLASSES = (
    Superclass("pets", ("cat", "dog")),
    Superclass("größe", ("ü 🐱",)),
    Superclass("sky", ("sun", "fog")),
)
CLASSES = ("cat", "dog", "ü 🐱", "sun", "fog")


def example(count: int = 6, size: int = 4, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    return ImageSet(
        rng.integers(0, 256, (count, size, size, 4), dtype=np.uint8),
        rng.integers(0, len(CLASSES), count),
        CLASSES,
        SUPERCLASSES,
        tuple(f"artist {i % 2}" for i in range(count)),
        tuple(f"name {i}" for i in range(count)),
    )


def assert_same(actual: ImageSet, expected: ImageSet) -> None:
    np.testing.assert_array_equal(actual.images, expected.images)
    np.testing.assert_array_equal(actual.targets, expected.targets)
    for field in ("classes", "superclasses", "sources", "names"):
        assert getattr(actual, field) == getattr(expected, field)


@settings(max_examples=25)
@given(count=st.integers(0, 5), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, count: int, size: int, seed: int) -> None:
    folder, images = tmp_path_factory.mktemp("set"), example(count, size, seed)
    save(images, folder, origin="recipe 1")
    assert_same(load(folder), images)
    assert read_manifest(folder)["origin"] == "recipe 1"
    assert sorted(f.name for f in folder.iterdir()) == ["images.npy", "manifest.json"]


def test_loaded_pixels_are_a_read_only_memory_map(tmp_path: Path) -> None:
    save(example(), tmp_path)
    images = load(tmp_path).images
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable


def test_names_that_are_no_valid_unicode_survive(tmp_path: Path) -> None:
    images = replace(example(), names=("\udcff.png",) * 6)  # how Python spells a file name that is not UTF-8
    save(images, tmp_path)
    assert_same(load(tmp_path), images)


def test_a_set_can_be_saved_over_itself(tmp_path: Path) -> None:
    save(example(), tmp_path)
    save(load(tmp_path), tmp_path)
    assert_same(load(tmp_path), example())


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    save(example(count=1, size=2), tmp_path)
    for name, rule in (("images.npy", "truncated"), ("manifest.json", "truncated or not JSON")):
        path = tmp_path / name
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=rf"{name} is {rule}"):
                load(tmp_path)
        path.write_bytes(whole)
    load(tmp_path)


def test_every_altered_byte_of_the_pixels_is_noticed(tmp_path: Path) -> None:
    save(example(count=1, size=2), tmp_path)
    path = tmp_path / "images.npy"
    whole = path.read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 1
        path.write_bytes(altered)
        with pytest.raises(DataError, match=r"images\.npy was altered: SHA-256"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("targets", [0] * 6, "was altered"),
        ("origin", "another", "was altered"),
        ("sha256", None, "was altered"),
        ("version", 2, "has version 2; this package reads version 1"),
        ("format", "else", "is not the manifest of an image set"),
    ],
)
def test_an_altered_manifest_is_noticed(tmp_path: Path, key: str, value: object, message: str) -> None:
    save(example(), tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), key: value}))
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.json is missing: no image set was finished"):
        load(tmp_path / "nowhere")
    save(example(), tmp_path)
    (tmp_path / "images.npy").unlink()
    with pytest.raises(DataError, match=r"images\.npy is missing"):
        load(tmp_path)


def test_a_save_that_fails_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    save(example(seed=1), tmp_path)
    unwritable = replace(example(seed=2), names=(b"no text",) * 6)
    with pytest.raises(TypeError):
        save(unwritable, tmp_path)
    with pytest.raises(DataError, match="no image set was finished"):
        load(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["images.npy"]


def test_what_does_not_agree_is_refused() -> None:
    good = example()
    for change, message in (
        ({"images": good.images[..., :3]}, r"uint8 \[N, S, S, 4\], got uint8 \[6, 4, 4, 3\]"),
        ({"images": good.images[:, :2]}, r"got uint8 \[6, 2, 4, 4\]"),
        ({"images": good.images.astype(np.float32)}, "got float32"),
        ({"targets": good.targets[:5]}, r"int64 \[6\], one for each image, got int64 \[5\]"),
        ({"targets": good.targets.astype(np.int32)}, "got int32"),
        ({"targets": good.targets + 5}, r"targets must lie in 0\.\.4, got 5"),
        ({"targets": good.targets - 5}, r"targets must lie in 0\.\.4, got -"),
        ({"sources": good.sources[:5]}, "got 5 and 6"),
        ({"names": ()}, "got 6 and 0"),
        ({"classes": ("cat", "cat", *CLASSES[2:])}, "must be unique, these are not: cat"),
        ({"superclasses": SUPERCLASSES[:2]}, "must list every class once"),
        ({"superclasses": SUPERCLASSES[::-1]}, "must list every class once, in the order"),
    ):
        with pytest.raises(DataError, match=message):
            replace(good, **change)


def test_superclass_of_class() -> None:
    index = superclass_of_class(SUPERCLASSES)
    assert index.dtype == np.int64
    assert index.tolist() == [0, 0, 1, 2, 2]


def test_what_is_taken_keeps_rows_together_in_the_order_asked_for() -> None:
    images = example()
    part = images.take(np.array([5, 0, 2]))
    np.testing.assert_array_equal(part.images, images.images[[5, 0, 2]])
    np.testing.assert_array_equal(part.targets, images.targets[[5, 0, 2]])
    assert part.superclasses == SUPERCLASSES
    assert part.names == ("name 5", "name 0", "name 2")
    assert part.sources == ("artist 1", "artist 0", "artist 0")


def test_concatenate_joins_parts_and_refuses_other_classes() -> None:
    images = example()
    assert_same(concatenate([images.take(np.arange(2)), images.take(np.arange(2, 6))]), images)
    with pytest.raises(DataError, match="got 4 and 3 px"):
        concatenate([images, example(size=3)])
    with pytest.raises(DataError, match="at least one"):
        concatenate([])


def test_splits_share_their_classes() -> None:
    images = example()
    assert Splits(images, images, images).classes == CLASSES
    other = replace(images, superclasses=(Superclass("all", CLASSES),))
    with pytest.raises(DataError, match="the test split has other classes or superclasses"):
        Splits(images, images, other)


def test_the_first_of_each_class_are_trained_on_and_of_each_superclass_judged_by() -> None:
    splits = Splits(example(40), example(30, seed=1), example(1, seed=2))
    few = first_of_each(splits, 2)
    owner = superclass_of_class(splits.superclasses)
    for before, after, group, groups in (
        (splits.train, few.train, lambda part: part.targets, len(CLASSES)),
        (splits.validation, few.validation, lambda part: owner[part.targets], len(splits.superclasses)),
    ):
        assert np.bincount(group(after), minlength=groups).tolist() == [2] * groups
        for each in range(groups):
            wanted = np.flatnonzero(group(before) == each)[:2]
            np.testing.assert_array_equal(after.images[group(after) == each], before.images[wanted])
    assert_same(few.test, splits.test)


def test_of_many_images_the_same_share_of_every_class_is_taken() -> None:
    images = example(60)
    few = evenly(images, 20)
    assert len(few) == 20
    before, after = (np.bincount(each.targets, minlength=len(CLASSES)) for each in (images, few))
    assert np.abs(after - before / 3).max() <= 1
    for most in (0, 60, 61):
        assert evenly(images, most) is images
