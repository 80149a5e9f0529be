"""The images that a bundle carries: which, how many, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import PHOTO, SUPERCLASSES, drawings, photos, random_bundle  # noqa: E402

from eas_sdk.bank.bundle import read  # noqa: E402
from eas_train.bundle import save, with_pictures  # noqa: E402
from eas_train.data.drawing_augment import DrawingAugmentation  # noqa: E402
from eas_train.data.fixed_views import fixed_views  # noqa: E402
from eas_train.pictures import divided, to_calibrate, to_prove  # noqa: E402


def superclasses(classes: np.ndarray) -> list[int]:
    return [int(c) // 3 for c in classes]


def test_as_many_of_every_superclass(tmp_path: Path) -> None:
    drawn, photographed = drawings(4, seed=1), photos(tmp_path, 4)
    for data, augmentation in ((drawn, DrawingAugmentation()), (photographed, PHOTO)):
        for each, count in ((5, 5), (100, 12), (0, 0)):
            for shown in (to_calibrate(data, each, 24, augmentation), to_prove(data, each, 24)):
                assert shown.images.shape == (2 * count, 24, 24, 3)
                assert shown.images.dtype == np.uint8
                assert superclasses(shown.classes) == [0] * count + [1] * count
        assert len(set(to_prove(data, 6, 24).classes.tolist())) > 3


def test_what_proves_is_validation_as_it_is_and_the_bundle_says_what_it_shows(tmp_path: Path) -> None:
    data = drawings(4, seed=1)
    whole, targets = fixed_views(data, 1, 16, torch.device("cpu"))
    images = whole.permute(0, 2, 3, 1).numpy()
    shown = to_prove(data, 5, 16)
    for image, c in zip(shown.images, shown.classes, strict=True):
        (place,) = np.flatnonzero((images == image).all((1, 2, 3)))
        assert targets[place] == c
    path = tmp_path / "b.safetensors"
    save(with_pictures(random_bundle(), to_calibrate(data, 1, 16, DrawingAugmentation()), shown), path)
    bundle = read(path)
    assert bundle.pictures is not None
    assert bundle.pictures.proof == tuple(shown.classes)
    assert superclasses(np.array(bundle.pictures.calibration)) == [0, 1]
    assert np.abs(bundle.proof_images(range(10)).astype(int) - shown.images).mean() < 12
    none = to_prove(data, 0, 16)
    assert with_pictures(random_bundle(), none, none).pictures is None


def test_photos_without_labels_are_divided_and_shown_to_the_network(tmp_path: Path) -> None:
    data = photos(tmp_path, 3)
    bundle = random_bundle()
    calibration, proof = divided(data, 24, bundle)
    assert len(calibration.images) == len(proof.images) == 9
    assert {*calibration.classes, *proof.classes} <= set(range(len([c for s in SUPERCLASSES for c in s.class_names])))
    made = with_pictures(bundle, *divided(data, 16, bundle))
    assert made.pictures is not None
    assert (made.pictures.side, made.pictures.count) == (16, 18)
