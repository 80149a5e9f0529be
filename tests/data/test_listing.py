"""Listed files as drawings and as photos: the same images under the same names, decoded now or later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError
from eas_train.data.imageset import Superclass
from eas_train.data.listing import Found, Listing, as_drawings, as_photos
from eas_train.data.photoset import PhotoFiles

SUPERCLASSES = (Superclass("sky", ("sun", "moon")), Superclass("pets", ("cat",)))
OWNER = {"sun": "sky", "moon": "sky", "cat": "pets"}
FILES = {
    "train": ["cat/a.jpg", "sun/é.jpg", "moon/a.jpg", "cat/b.jpg"],
    "validation": ["sun/b.jpg"],
    "test": ["moon/deep/c.jpg", "sun/c.jpg"],
}


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """JPEGs of one colour for each file, 12 x 8 pixels."""
    found = {}
    for k, (split, names) in enumerate(FILES.items()):
        found[split] = [Found(OWNER[n.split("/")[0]], n.split("/")[0], tmp_path / "set" / n) for n in names]
        for i, file in enumerate(found[split]):
            file.path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 8), (40 * i, 80 * k, 9)).save(file.path)
    return Listing(found, SUPERCLASSES, tmp_path / "set")


# torchvision announces that its decoder will be removed (from 0.29 on)
def test_drawings_and_photos_are_the_same_images(listing: Listing) -> None:
    drawings, photos = as_drawings(listing, 6), as_photos(listing)
    assert photos.superclasses == drawings.superclasses == SUPERCLASSES
    for k, (split, drawn) in enumerate(zip(FILES, (drawings.train, drawings.validation, drawings.test), strict=True)):
        part = (photos.train, photos.validation, photos.test)[k]
        names = [part.store.name(i) for i in range(len(part))]
        assert names == list(drawn.names) == FILES[split]
        assert part.targets.tolist() == drawn.targets.tolist()
        assert [part.classes[t] for t in part.targets] == [name.split("/")[0] for name in names]
        for i, square in enumerate(drawn.images):
            photo = part.store.read(i)
            assert photo.shape == (3, 8, 12)
            assert np.abs(photo[:, 0, 0].numpy().astype(int) - (40 * i, 80 * k, 9)).max() <= 3
            assert np.abs(photo[:, 0, 0].numpy().astype(int) - square[0, 0, :3]).max() <= 3
    assert set(drawings.test.sources) == {"set"}


def test_a_photo_that_cannot_be_read_is_found_when_it_is_asked_for(listing: Listing) -> None:
    (listing.top / "moon" / "deep" / "c.jpg").write_bytes(b"no image")
    photos = as_photos(listing)
    assert isinstance(photos.test.store, PhotoFiles)
    with pytest.raises(DataError, match=r"moon/deep/c\.jpg cannot be read as an image"):
        photos.test.store.read(0)
    with pytest.raises(DataError, match=r"moon/deep/c\.jpg cannot be read as an image"):
        as_drawings(listing, 6)


def test_the_digest_of_photos_follows_lengths_and_labels(listing: Listing) -> None:
    before = as_photos(listing).train.digest
    assert as_photos(listing).train.digest == before
    other = [Found("sky", "moon", listing.found["train"][0].path), *listing.found["train"][1:]]
    relabelled = Listing({**listing.found, "train": other}, SUPERCLASSES, listing.top)
    assert as_photos(relabelled).train.digest != before
    assert as_photos(relabelled).test.digest == as_photos(listing).test.digest
    with (listing.top / "cat" / "b.jpg").open("ab") as file:
        file.write(b"\0")
    assert as_photos(listing).train.digest != before


def test_a_split_without_images_has_the_classes_too(listing: Listing) -> None:
    empty = Listing({**listing.found, "validation": []}, SUPERCLASSES, listing.top)
    assert len(as_photos(empty).validation) == len(as_drawings(empty, 4).validation) == 0
    assert as_photos(empty).validation.classes == ("sun", "moon", "cat")
