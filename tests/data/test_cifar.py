"""CIFAR-100's binary files: labels, pixels, splits, and files that are cut, altered or pickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from eas_sdk.errors import DataError, InputError
from eas_train.data.cifar import load_cifar
from eas_train.data.class_lists import ClassList, ListedClass, read_list

HUNDRED = read_list("cifar-100")
LABELS = sorted(c.id for c in HUNDRED.classes)  # the official order
SUPERCLASSES = [s.name for s in HUNDRED.superclasses]
COARSE = {c.id: SUPERCLASSES.index(c.superclass) for c in HUNDRED.classes}
TWO = ClassList("two", "made up", (ListedClass("whale", "whale", "sea"), ListedClass("ray", "ray", "sea")))


def colour(label: int, image: int) -> npt.NDArray[np.uint8]:
    """uint8 [3]: tells the class and which image of its class it is."""
    return np.array([label, image, 200], np.uint8)


def write(folder: Path, each: int = 3) -> Path:
    """`each` training images and one test image of every class, in the layout of the data set."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fine_label_names.txt").write_text("\n".join(LABELS) + "\n\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(SUPERCLASSES) + "\n")
    for name, count in (("train.bin", each), ("test.bin", 1)):
        data = bytearray()
        for image in range(count):
            for i, label in enumerate(LABELS):
                data += bytes([COARSE[label], i]) + np.repeat(colour(i, image), 32 * 32).tobytes()
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("above", [True, False])
def test_every_image_comes_with_its_class_and_its_pixels(tmp_path: Path, above: bool) -> None:
    folder = write(tmp_path / "cifar-100-binary")
    splits = load_cifar(tmp_path if above else folder, HUNDRED)
    assert splits.superclasses == HUNDRED.superclasses
    parts = (splits.train, splits.validation, splits.test)
    for part, count in zip(parts, (2, 1, 1), strict=True):
        assert np.bincount(part.targets).tolist() == [count] * 100
        assert set(part.sources) == {"cifar-100-binary"}
        for image, target in zip(part.images, part.targets, strict=True):
            assert LABELS[image[0, 0, 0]] == HUNDRED.classes[target].id
            assert image.shape == (32, 32, 4)
    assert (splits.train.images[..., 2:] == (200, 255)).all()
    names = splits.train.names + splits.validation.names
    order = np.concatenate([splits.train.images, splits.validation.images])[:, 0, 0, 1]
    assert dict(zip(names, order.tolist(), strict=True)) == {f"train/{i:05}": i // 100 for i in range(300)}


def test_pixels_are_red_green_and_blue_planes_row_by_row(tmp_path: Path) -> None:
    folder = write(tmp_path)
    planes = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    i = LABELS.index("ray")
    record = bytes([COARSE["ray"], i]) + planes.tobytes()
    data = (folder / "test.bin").read_bytes()
    (folder / "test.bin").write_bytes(data[: i * 3074] + record + data[(i + 1) * 3074 :])
    image = load_cifar(folder, TWO).test.images[0]
    for row, column in ((0, 0), (3, 17), (31, 30)):
        assert image[row, column].tolist() == [*planes[:, row, column].tolist(), 255]


def test_other_classes_are_passed_over_and_images_resized(tmp_path: Path) -> None:
    splits = load_cifar(write(tmp_path, each=10), TWO, 48, validation_share=0.2)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [16, 4, 2]
    assert splits.classes == ("whale", "ray")
    assert splits.test.images.shape == (2, 48, 48, 4)
    assert splits.test.targets.tolist() == [1, 0]  # in the order of the file
    assert splits.test.images[0].reshape(-1, 4).tolist() == [[LABELS.index("ray"), 0, 200, 255]] * 48 * 48


def test_the_choice_of_validation_follows_the_seed(tmp_path: Path) -> None:
    write(tmp_path, each=10)
    first, again, other = (load_cifar(tmp_path, TWO, seed=seed).validation.names for seed in (1, 1, 2))
    assert first == again != other


def test_the_pickled_version_is_refused_unread(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickle.dumps({b"data": Harmful()}))
    for root in (folder, tmp_path):
        with pytest.raises(DataError, match=r"has the Python version, a pickle, .* Unpack cifar-100-binary\.tar\.gz"):
            load_cifar(root, HUNDRED)
    assert not marker.exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty has none of these\. Unpack cifar-100-binary"):
        load_cifar(tmp_path / "empty", HUNDRED)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    def refused(message: str, classes: ClassList = TWO) -> None:
        with pytest.raises(DataError, match=message):
            load_cifar(tmp_path, classes)
        write(tmp_path)

    write(tmp_path)
    (tmp_path / "test.bin").unlink()
    refused(r"must hold train\.bin, test\.bin, fine_label_names\.txt; it lacks test\.bin")
    whole = (tmp_path / "train.bin").read_bytes()
    for length in (0, 1, 3073, 3075, len(whole) - 1):
        (tmp_path / "train.bin").write_bytes(whole[:length])
        refused(rf"train\.bin is truncated or altered: {length} bytes must be a multiple of 3074")
    for at, message in ((0, "got 255 and 99"), (1, "got 19 and 255")):
        altered = bytearray(whole)
        altered[at] = 255
        (tmp_path / "train.bin").write_bytes(altered)
        refused(rf"train\.bin is altered: .*, {message}")
    (tmp_path / "test.bin").write_bytes(whole[: 3074 * (LABELS.index("ray") + 1)])
    refused(r"test\.bin must have images of every class; it lacks whale")
    (tmp_path / "fine_label_names.txt").write_text("\n".join(LABELS[:99]))
    refused("must hold 100 different labels, one a line; got 99")
    (tmp_path / "fine_label_names.txt").write_bytes(b"\xff\xfe")
    refused("must hold 100 labels, one a line; it is not text")
    refused(
        "ids of 'odd' must be fine labels of .*; not among them: unicorn",
        ClassList("odd", "made up", (ListedClass("unicorn", "unicorn", "horses"),)),
    )


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(InputError, match="at least 1 pixel, got 0"):
        load_cifar(tmp_path, TWO, 0)
    with pytest.raises(InputError, match="between 0 and 1, got 1"):
        load_cifar(tmp_path, TWO, validation_share=1)
