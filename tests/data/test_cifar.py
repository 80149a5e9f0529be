"""CIFAR-100's pickled files: labels, pixels, splits, and files that are altered, which must not be unpickled.

torchvision knows the MD5 of the official files. Here it is told those of made-up ones.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from eas_sdk.errors import DataError, InputError
from eas_train.data.cifar import load_cifar
from eas_train.data.class_lists import ClassList, ListedClass, read_list
from eas_train.data.photoset import PhotoSet

datasets = pytest.importorskip("torchvision.datasets")

HUNDRED = read_list("cifar-100")
LABELS = sorted(c.id for c in HUNDRED.classes)  # the official order
TWO = ClassList("two", "made up", (ListedClass("Whale", "whale", "sea"), ListedClass("Ray", "ray", "sea")))


class Cifar:
    """A folder with a made-up data set, whose files torchvision takes for the official ones."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        folder.mkdir(parents=True)
        self.write("meta", {"fine_label_names": LABELS})
        self.photos("train", each=10)
        self.photos("test", each=1)

    def write(self, name: str, content: Any) -> None:
        data = pickle.dumps(content)
        (self.folder / name).write_bytes(data)
        md5 = hashlib.md5(data).hexdigest()
        if name == "meta":
            self.monkeypatch.setattr(datasets.CIFAR100, "meta", {**datasets.CIFAR100.meta, "md5": md5})
        else:
            self.monkeypatch.setattr(datasets.CIFAR100, f"{name}_list", [[name, md5]])

    def photos(self, name: str, each: int, labels: list[str] = LABELS) -> None:
        """Photos whose first three values are their label, their number among those of the label, and 200."""
        fine = [LABELS.index(label) for label in labels] * each
        data = np.zeros((len(fine), 3, 32, 32), np.uint8)
        data[:, 0] = np.array(fine)[:, None, None]
        data[:, 1] = np.repeat(np.arange(each), len(labels))[:, None, None]
        data[:, 2] = np.arange(32 * 32).reshape(32, 32) % 251
        self.write(name, {"data": data.reshape(len(fine), -1), "fine_labels": fine, "coarse_labels": [0] * len(fine)})


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cifar:
    return Cifar(tmp_path / "cifar-100-python", monkeypatch)


def corners(photos: PhotoSet) -> npt.NDArray[np.uint8]:
    return np.stack([photos.store.read(i)[:, 0, 0].numpy() for i in range(len(photos))])


@pytest.mark.parametrize("above", [True, False])
def test_every_photo_comes_with_its_class_and_its_pixels(cifar: Cifar, above: bool) -> None:
    splits = load_cifar(cifar.folder.parent if above else cifar.folder, HUNDRED)
    assert splits.superclasses == HUNDRED.superclasses
    parts = (splits.train, splits.validation, splits.test)
    for part, count in zip(parts, (9, 1, 1), strict=True):
        assert np.bincount(part.targets).tolist() == [count] * 100
        assert [LABELS[label] for label in corners(part)[:, 0]] == [HUNDRED.classes[t].id for t in part.targets]
    drawn = np.concatenate([corners(splits.train), corners(splits.validation)])
    assert len(np.unique(drawn, axis=0)) == 1000  # each once
    photo = splits.test.store.read(0)
    assert photo.shape == (3, 32, 32)
    assert [int(photo[2, row, column]) for row, column in ((0, 5), (1, 0), (31, 31))] == [5, 32, 1023 % 251]


def test_other_classes_are_passed_over_and_a_share_of_train_validates(cifar: Cifar) -> None:
    splits = load_cifar(cifar.folder, TWO, validation_share=0.2)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [16, 4, 2]
    assert splits.classes == ("Whale", "Ray")
    assert splits.test.targets.tolist() == [1, 0]  # in the order of the file
    first, again, other = (corners(load_cifar(cifar.folder, TWO, seed=s).validation).tolist() for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_an_altered_file_is_refused_and_not_unpickled(cifar: Cifar, name: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    (cifar.folder / name).write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError, match=rf"cifar-100-python must hold .* missing or altered: {name}$"):
        load_cifar(cifar.folder, HUNDRED)
    assert not marker.exists()
    pickle.loads((cifar.folder / name).read_bytes())  # it would have run
    assert marker.exists()


def test_the_official_files_are_the_only_ones_taken(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        made = Cifar(tmp_path / "cifar-100-python", patched)
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz, .* missing or altered: train, test, meta$"):
        load_cifar(made.folder, HUNDRED)


def test_missing_files_and_classes_are_named(cifar: Cifar, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels of CIFAR-100; not among them: unicorn$"):
        load_cifar(cifar.folder, ClassList("odd", "made up", (ListedClass("unicorn", "unicorn", "horses"),)))
    cifar.photos("test", 1, [label for label in LABELS if label != "ray"])
    with pytest.raises(DataError, match=r"the test split of CIFAR-100 must have every class; it lacks ray$"):
        load_cifar(cifar.folder, TWO)
    (cifar.folder / "test").unlink()
    with pytest.raises(DataError, match=r"missing or altered: test$"):
        load_cifar(cifar.folder, TWO)
    with pytest.raises(DataError, match=r"nowhere/cifar-100-python must hold .*: train, test, meta$"):
        load_cifar(tmp_path / "nowhere", TWO)


def test_the_share_must_leave_both_parts(cifar: Cifar) -> None:
    with pytest.raises(InputError, match="between 0 and 1, got 1"):
        load_cifar(cifar.folder, TWO, validation_share=1)
