"""Photos in tar shards: they are those that were packed, and shards that are damaged are named."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from data.packed import cls, pack  # noqa: E402
from train.tiny import CPU, PHOTO, SUPERCLASSES, photos  # noqa: E402

from eas_sdk.cache import cache_folder  # noqa: E402
from eas_sdk.errors import DataError, InputError  # noqa: E402
from eas_train.data.class_lists import ClassList, ListedClass  # noqa: E402
from eas_train.data.feed import Asked, feed  # noqa: E402
from eas_train.data.photoset import UNLABELLED, PhotoSet  # noqa: E402
from eas_train.data.shard_index import index_shards, shard_files  # noqa: E402
from eas_train.data.shard_splits import labelled, load_shards, unlabelled  # noqa: E402
from eas_train.data.shards import OpenFiles, PhotoShards  # noqa: E402
from eas_train.data.source import Source  # noqa: E402
from eas_train.data.tar_samples import Sample, read_samples  # noqa: E402
from eas_train.data.unlabelled import unlabelled_photos  # noqa: E402

CLASSES = ClassList(
    "six",
    "made up",
    tuple(
        ListedClass(name, f"n{i}", superclass.name)
        for superclass in SUPERCLASSES
        for i, name in enumerate(superclass.class_names, 3 * (superclass.name == "lines"))
    ),
)
"""The classes of `tiny.photos`."""
IMAGE = b"not decoded while shards are read"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    known = photos(tmp_path_factory.mktemp("photos"), 3)
    return known.take(np.random.default_rng(0).permutation(len(known)))


@pytest.fixture(scope="module")
def shards(files: PhotoSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pack(tmp_path_factory.mktemp("shards"), files, 4, cls)


def tar(path: Path, members: dict[str, bytes], mode: str = "w", **options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def content(path: Path, sample: Sample) -> bytes:
    return path.read_bytes()[sample.offset :][: sample.length]


def labels(path: Path) -> list[str | None]:
    return [sample.label for sample in read_samples(path)]


# What is in a shard


def test_every_photo_is_the_one_that_was_packed(files: PhotoSet, shards: list[Path]) -> None:
    packed = labelled(index_shards(shards), CLASSES)
    assert len(shards) == 5
    assert len(packed) == len(files) == 18
    assert packed.superclasses == files.superclasses
    for i in range(18):
        for at_least in (0, 4):
            assert torch.equal(packed.store.read(i, at_least), files.store.read(i, at_least))
    assert packed.targets.tolist() == files.targets.tolist()
    assert packed.store.name(5) == "train-000001.tar/000000005.jpg"
    some = packed.take(np.array([7, 2]))
    assert torch.equal(some.store.read(1), files.store.read(2))
    assert some.store.name(0) == packed.store.name(7)


def test_batches_are_those_of_files_with_any_workers(files: PhotoSet, shards: list[Path]) -> None:
    """Also where this process has shards open that workers inherit."""
    packed = labelled(index_shards(shards), CLASSES)
    packed.store.read(0)
    wanted = [Asked(np.random.default_rng(seed).integers(18, size=8), seed, 20) for seed in range(6)]
    expected = list(feed(files, wanted, PHOTO, CPU, workers=0))
    for workers in (0, 2):
        for one, other in zip(expected, feed(packed, wanted, PHOTO, CPU, workers=workers), strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.targets, other.targets)


def test_a_store_goes_to_another_process_without_open_files(shards: list[Path]) -> None:
    store = labelled(index_shards(shards), CLASSES).store
    expected = store.read(3)
    copy = pickle.loads(pickle.dumps(store))
    assert torch.equal(copy.read(3), expected)
    assert len(copy.opened) == 1


class Probe(torch.utils.data.Dataset[int]):
    """How many files a worker has open once it has read a photo."""

    def __init__(self, store: PhotoShards) -> None:
        self.store = store

    def __getitem__(self, index: int) -> int:
        self.store.read(index)
        return len(self.store.opened)


def test_a_worker_opens_files_of_its_own(shards: list[Path]) -> None:
    """A file that is open when a process forks has one place for both, and each would move it under the other."""
    store = labelled(index_shards(shards), CLASSES).store
    for i in range(len(store)):
        store.read(i)
    assert len(store.opened) == 5
    workers = torch.utils.data.DataLoader(Probe(store), sampler=[0, 1, 17], batch_size=None, num_workers=1)
    assert list(workers) == [1, 1, 2]
    assert len(store.opened) == 5


def test_few_files_stay_open(tmp_path: Path) -> None:
    opened = OpenFiles(most=2)
    for name in "abcab":
        (tmp_path / name).write_text(f"--{name}--")
        assert opened.read(tmp_path / name, 2, 1) == name.encode()
        assert len(opened) <= 2
    with pytest.raises(EOFError, match="ends before byte 7"):
        opened.read(tmp_path / "a", 4, 3)
    opened.close()
    assert len(opened) == 0


@pytest.mark.parametrize(
    ("members", "classes"),
    [
        (lambda k: {"cls": CLASSES.classes[k].name}, CLASSES),
        (lambda k: {"cls": f"{CLASSES.classes[k].id}\n"}, CLASSES),
        (lambda k: {"json": {"label": k, "caption": "x"}}, CLASSES),
        (lambda k: {"json": {"cls": CLASSES.classes[k].id, "label": 99}}, CLASSES),
        (lambda k: {"cls": k, "json": {"label": "something else"}}, CLASSES),
        (
            lambda k: {"cls": 5 - k},
            ClassList(
                "numbers",
                "",
                tuple(ListedClass(c.name, str(5 - k), c.superclass) for k, c in enumerate(CLASSES.classes)),
            ),
        ),
    ],
    ids=["name", "id", "json number", "json id", "cls before json", "ids are numbers"],
)
def test_labels_lead_to_classes(
    files: PhotoSet, tmp_path: Path, members: Callable[[int], dict[str, object]], classes: ClassList
) -> None:
    made = labelled(index_shards(pack(tmp_path, files, 7, members, encoder=encode)), classes)
    assert made.targets.tolist() == files.targets.tolist()


def encode(sample: dict[str, object]) -> dict[str, object]:
    """Texts and numbers as they are, for labels that webdataset's own encoder would refuse."""
    plain = {"cls": str, "json": json.dumps}
    return {key: plain[key](value).encode() if key in plain else value for key, value in sample.items()}


def test_shards_as_img2dataset_writes_them_have_no_labels(files: PhotoSet, tmp_path: Path) -> None:
    crawled = {"txt": "a photo", "json": {"url": "https://example.org/1.jpg", "status": "success", "key": "000000000"}}
    made = labelled(index_shards(pack(tmp_path, files, 5, lambda _: crawled)), CLASSES)
    assert made.targets.tolist() == [UNLABELLED] * len(files)
    assert torch.equal(made.store.read(11), files.store.read(11))


def test_labels_are_ignored_where_nobody_wants_them(shards: list[Path]) -> None:
    assert set(unlabelled(index_shards(shards), CLASSES.superclasses).targets.tolist()) == {UNLABELLED}


def test_members_make_samples_as_in_webdataset(tmp_path: Path) -> None:
    from webdataset.tariterators import group_by_keys, tar_file_iterator

    members = {
        "__meta__/x.jpg": b"passed over",
        "a.jpg": IMAGE + b"a",
        "a.cls": b"1",
        "dir.1/b.c.JPG": b"no image: its suffix is c.jpg",
        "dir.1/b.cls": b"1",
        "no suffix": b"",
        "c.cls": b"2",
        "c.seg.png": b"a mask",
        "c.Jpeg": IMAGE + b"c",
        "./d.webp": IMAGE + b"d",
    }
    path = tar(tmp_path / "one.tar", members)
    found = read_samples(path)
    assert [content(path, sample) for sample in found] == [IMAGE + b"a", IMAGE + b"c", IMAGE + b"d"]
    assert labels(path) == ["1", "2", None]
    with path.open("rb") as file:
        theirs = list(group_by_keys({**member, "__url__": ""} for member in tar_file_iterator(file)))
    images = [sample[kind] for sample in theirs for kind in ("jpg", "jpeg", "webp") if kind in sample]
    assert images == [content(path, sample) for sample in found]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_lead_nowhere(tmp_path: Path, form: int) -> None:
    """Names that would leave the folder, long ones and strange ones."""
    long = "/".join(["folder" * 8] * 4)
    names = ["../../evil.jpg", "/etc/evil.jpg", f"{long}/1.jpg", "ä ö/1.jpg"]
    path = tar(tmp_path / "in" / "one.tar", {name: IMAGE + name.encode() for name in names}, format=form)
    assert [content(path, sample) for sample in read_samples(path)] == [IMAGE + name.encode() for name in names]
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "in", path]


# Damage


def damaged(folder: Path, how: str) -> Path:
    path = tar(folder / "bad.tar", {"a.jpg": IMAGE * 50, "a.cls": b"1", "b.jpg": IMAGE * 40, "b.cls": b"2", "c": b"3"})
    whole = path.read_bytes()
    second, last = (whole.index(name) for name in (b"b.jpg\0", b"c\0"))
    made = {
        "empty": b"",
        "not a tar": b"x" * 5000,
        "compressed": gzip.compress(whole),
        "cut in an image": whole[: second + 700],
        "cut in a header": whole[: second + 100],
        "cut between members": whole[:second],
        "header overwritten": whole[:second] + b"\xff" * 512 + whole[second + 512 :],
        "hole to the end": whole[:second] + bytes(2 << 20),
        "hole in the middle": whole[:second] + bytes(512) + whole[second + 512 :],
        "size below zero": whole[:last] + negative(whole[last : last + 512]) + whole[last + 512 :],
    }
    path.write_bytes(made[how])
    return path


def negative(header: bytes) -> bytes:
    """A header that says it has -512 bytes, with the sum that it needs."""
    size = b"\xff" * 10 + b"\xfe\x00"
    blank = header[:124] + size + header[136:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "empty file"),
        ("not a tar", "cannot be read"),
        ("compressed", "cannot be read"),
        ("cut in an image", "unexpected end of data"),
        ("cut in a header", "neither a member nor the end"),
        ("cut between members", "without the zeros"),
        ("header overwritten", "neither a member nor the end at byte"),
        ("hole to the end", "as in a download that stopped"),
        ("hole in the middle", "neither a member nor the end at byte"),
        ("size below zero", "'c' does not say where the next one begins"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, how: str, message: str) -> None:
    path = damaged(tmp_path, how)
    with pytest.raises(DataError, match=rf"a shard is a whole tar file, not compressed; \S+bad\.tar.*{message}"):
        index_shards([path])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"1", "a.JPG": b"2"}, "duplicate file name"),
        ({"a.jpg": b"1", "a.png": b"2"}, "a sample has one image; 'a' has png, jpg"),
        ({"a.jpg": b"1", "a.cls": b" \n"}, "that of 'a' is empty"),
        ({"a.jpg": b"1", "a.cls": b"\xff\xfe"}, r"text in UTF-8; 'a\.cls' is not"),
        ({"a.jpg": b"1", "a.json": b"{"}, "'a' has a member .json that is not JSON"),
        ({"a.jpg": b"1", "a.json": b'{"label": [1]}'}, r"text or a whole number; the JSON of 'a' has \[1\]"),
        ({"a.jpg": b"1", "a.json": b'{"label": true}'}, "has True"),
    ],
)
def test_samples_that_make_no_sense_are_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=rf"odd\.tar.*{message}"):
        index_shards([tar(tmp_path / "odd.tar", members)])


def test_json_may_say_that_there_is_no_class(tmp_path: Path) -> None:
    assert labels(tar(tmp_path / "one.tar", {"a.jpg": b"1", "a.json": b'{"cls": null, "label": 3}'})) == ["3"]


@pytest.mark.parametrize("text", [b"[1, 2]", b'{"label": null}', b"7"])
def test_json_without_a_label_is_no_label(tmp_path: Path, text: bytes) -> None:
    assert labels(tar(tmp_path / "one.tar", {"a.jpg": b"1", "a.json": text})) == [None]


def test_a_photo_that_cannot_be_read_is_named(files: PhotoSet, tmp_path: Path) -> None:
    (path,) = pack(tmp_path, files.take(np.arange(3)), 3, cls)
    photos = labelled(index_shards([path]), CLASSES)
    assert isinstance(photos.store, PhotoShards)
    whole, begin = bytearray(path.read_bytes()), int(photos.store.offset[1])
    whole[begin : begin + 20] = bytes(20)
    path.write_bytes(whole)
    with pytest.raises(
        DataError, match=r"train-000000\.tar: 000000001\.jpg cannot be read as an image: it must be of a format"
    ):
        photos.store.read(1)
    os.truncate(path, begin)
    with pytest.raises(DataError, match=r"000000001\.jpg cannot be read as an image: the file ends before byte"):
        photos.store.read(1)
    with pytest.raises(DataError, match=r"the member at byte \d+ cannot be read as an image: the file ends"):
        photos.store.read(2)
    path.unlink()
    with pytest.raises(DataError, match=r"train-000000\.tar: the member at byte .* No such file"):
        pickle.loads(pickle.dumps(photos.store)).read(1)


# Labels that do not fit


def test_labels_that_are_not_on_the_list_are_named(tmp_path: Path) -> None:
    index = index_shards([tar(tmp_path / "one.tar", {"a.jpg": b"1", "a.cls": b"0", "b.jpg": b"1", "b.cls": b"6"})])
    small = index_shards([tar(tmp_path / "two.tar", {"a.jpg": b"1", "a.cls": b"1"})])
    with pytest.raises(
        DataError, match=r"of 'six', or places 0 to 5; not on the list: 6, the first at one\.tar/b\.jpg"
    ):
        labelled(index, CLASSES)
    numbered = ClassList("numbers", "", (ListedClass("cat", "0", "pets"), ListedClass("dog", "7", "pets")))
    with pytest.raises(DataError, match=r"of 'numbers'; not on the list: 1, the first at two"):
        labelled(small, numbered)


def test_photos_without_labels_among_others_are_named(tmp_path: Path) -> None:
    index = index_shards([tar(tmp_path / "one.tar", {"a.jpg": b"1", "a.cls": b"0", "b.jpg": b"1", "c.jpg": b"1"})])
    with pytest.raises(DataError, match=r"either all photos .* 2 of 3 have none, the first one\.tar/b\.jpg"):
        labelled(index, CLASSES)


def test_shards_without_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hold photos, members that end in \.png"):
        labelled(index_shards([tar(tmp_path / "one.tar", {"a.cls": b"0"})]), CLASSES)


# The index


def test_an_index_is_kept_and_made_again_for_shards_that_changed(files: PhotoSet, tmp_path: Path) -> None:
    paths, kept = pack(tmp_path, files, 6, cls), tmp_path / "cache" / "index.npz"
    first = index_shards(paths, kept)
    for path in paths[:2]:  # what nobody reads again may be anything of that length and time
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert_equal(index_shards(paths, kept), first)
    tar(paths[2], {"new.jpg": IMAGE, "new.cls": b"a new label"})
    changed = index_shards(paths, kept)
    assert changed.shard.tolist() == [0] * 6 + [1] * 6 + [2]
    assert [changed.labels[i] for i in changed.label[-2:]] == [first.labels[first.label[11]], "a new label"]
    assert_equal(index_shards(paths, kept), changed)
    assert_equal(index_shards(paths[::-1], kept), index_shards(paths[::-1], kept))
    os.utime(paths[0], ns=(1, 1))
    with pytest.raises(DataError, match="cannot be read"):
        index_shards(paths, kept)


def assert_equal(one: object, other: object) -> None:
    for name in ("shard", "offset", "length", "label"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.paths == other.paths
    assert one.labels == other.labels


@pytest.mark.parametrize("how", ["cut", "not an archive", "another version", "a folder"])
def test_a_damaged_index_is_made_again(files: PhotoSet, tmp_path: Path, how: str) -> None:
    paths, kept = pack(tmp_path, files, 6, cls), tmp_path / "index.npz"
    first = index_shards(paths, kept)
    whole = kept.read_bytes()
    if how == "a folder":
        kept.unlink()
        kept.mkdir()
        with pytest.raises(DataError, match=r"the index of shards is kept in \S+index\.npz, which cannot be written"):
            index_shards(paths, kept)
        return
    if how == "another version":
        with np.load(kept) as file:
            arrays = dict(file)
        head = json.loads(arrays.pop("head").tobytes()) | {"format": 99, "labels": ["wrong"]}
        np.savez(kept, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
    else:
        kept.write_bytes(whole[: len(whole) // 2] if how == "cut" else b"x" * 100)
    assert_equal(index_shards(paths, kept), first)
    assert kept.read_bytes()[:200] == whole[:200]


def test_shards_have_an_identity_that_moves_with_them(files: PhotoSet, tmp_path: Path) -> None:
    one = labelled(index_shards(pack(tmp_path / "one", files, 6, cls)), CLASSES)
    moved = labelled(index_shards(pack(tmp_path / "two", files, 6, cls)), CLASSES)
    assert one.digest == moved.digest
    assert one.digest != labelled(index_shards(pack(tmp_path / "three", files, 9, cls)), CLASSES).digest
    assert one.store.digest() != one.take(np.arange(17)).store.digest()
    with tarfile.open(tmp_path / "two" / "train-000000.tar", "a") as archive:
        info = tarfile.TarInfo("more.txt")
        info.size = 20_000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    assert one.store.digest() != moved.store.digest()


def test_which_shards_are_meant() -> None:
    assert shard_files("/data/train-{000008..000011}.tar") == [
        Path(f"/data/train-{i}.tar") for i in ("000008", "000009", "000010", "000011")
    ]
    assert shard_files("a-{x,y}.tar::b.tar") == [Path("a-x.tar"), Path("a-y.tar"), Path("b.tar")]
    for remote in ("https://example.org/{0..9}.tar", "s3://bucket/0.tar", "pipe:cat x.tar"):
        with pytest.raises(DataError, match=r"mount or download (https|s3|pipe):"):
            shard_files(remote)


def test_shards_that_are_not_there_or_there_twice_are_named(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one shard; got none"):
        index_shards([])
    with pytest.raises(DataError, match=r"more than once: \S+train-000000\.tar"):
        index_shards([*shards, shards[0]])
    with pytest.raises(DataError, match=r"gone\.tar cannot be read: No such file"):
        index_shards([tmp_path / "gone.tar"])


# Splits


@pytest.mark.parametrize("form", ["folders", "names"])
def test_shards_of_a_folder_are_splits(files: PhotoSet, tmp_path: Path, form: str) -> None:
    for i, split in enumerate(("train", "val", "test")):
        part = files.take(np.arange(18)[i:] if split == "train" else np.arange(9) * 2)
        pack(
            tmp_path / split if form == "folders" else tmp_path, part, 4, cls, "" if form == "folders" else f"{split}-"
        )
    splits = load_shards(tmp_path, CLASSES)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [18, 9, 9]
    assert splits.classes == tuple(c.name for c in CLASSES.classes)
    assert torch.equal(splits.validation.store.read(3), files.store.read(6))


def test_without_shards_for_validation_a_share_of_training_validates(files: PhotoSet, tmp_path: Path) -> None:
    pack(tmp_path, files, 5, cls)
    pack(tmp_path, files, 9, cls, "test-")
    splits = load_shards(tmp_path, CLASSES, validation_share=0.34)
    assert np.bincount(splits.validation.targets).tolist() == [1] * 6
    assert np.bincount(splits.train.targets).tolist() == [2] * 6
    names = [part.store.name(i) for part in (splits.train, splits.validation) for i in range(len(part))]
    assert len(set(names)) == 18
    again = load_shards(tmp_path, CLASSES, validation_share=0.34)
    assert again.validation.digest == splits.validation.digest


def test_folders_of_shards_that_are_wrong_are_refused(files: PhotoSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone is no folder"):
        load_shards(tmp_path / "gone", CLASSES)
    with pytest.raises(DataError, match=r"in train/ and test/, or named train-\*\.tar .* none for train and test"):
        load_shards(tmp_path, CLASSES)
    pack(tmp_path, files.take(np.flatnonzero(files.targets != 4)), 5, cls)
    pack(tmp_path / "test", files, 9, lambda _: {})
    with pytest.raises(DataError, match=r"those for test in \S+ do not"):
        load_shards(tmp_path, CLASSES)
    pack(tmp_path / "test", files, 9, cls)
    with pytest.raises(DataError, match="none of cyan cross"):
        load_shards(tmp_path, CLASSES)
    pack(tmp_path / "train", files, 9, cls)
    with pytest.raises(DataError, match=r"lie in one place; those for train in \S+: train/, train-\*\.tar"):
        load_shards(tmp_path, CLASSES)


def test_a_source_may_be_shards_of_photos(files: PhotoSet, tmp_path: Path) -> None:
    pack(tmp_path / "data", files, 5, cls)
    pack(tmp_path / "data", files, 9, cls, "test-")
    superclasses = [
        {"name": s.name, "classes": [{"name": c, "id": c.replace(" ", "_")} for c in s.class_names]}
        for s in SUPERCLASSES
    ]
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "source": "me", "superclasses": superclasses}))
    source = Source(tmp_path / "data", classes=str(tmp_path / "mine.json"), layout="shards")
    splits, others, _ = source.load(8, "photo")
    assert others is None
    assert isinstance(splits.test, PhotoSet)
    assert splits.test.targets.tolist() == files.targets.tolist()
    assert torch.equal(splits.test.store.read(12), files.store.read(12))
    assert len(list((cache_folder() / "shards").iterdir())) == 2  # where their index is kept
    with pytest.raises(InputError, match="of kind 'drawing' is for drawings; shards hold photos"):
        source.load(8, "drawing")


def test_shards_at_any_depth_are_unlabelled_photos(files: PhotoSet, tmp_path: Path) -> None:
    shards = pack(tmp_path / "b" / "c", files.take(np.arange(7)), 5, cls)
    shards += pack(tmp_path / "d", files.take(np.arange(7, 18)), 5, lambda _: {"txt": "a caption"})
    (tmp_path / "b" / "stats.json").write_text("{}")
    (tmp_path / "d" / ".part.tar").write_bytes(b"not there yet")
    found = unlabelled_photos(tmp_path, SUPERCLASSES)
    assert found.store.paths == tuple(shards)
    assert found.targets.tolist() == [UNLABELLED] * 18
    assert found.superclasses == SUPERCLASSES
    for i in range(18):
        assert torch.equal(found.store.read(i), files.store.read(i))


def test_images_beside_shards_are_the_unlabelled_photos(files: PhotoSet, tmp_path: Path) -> None:
    pack(tmp_path, files, 5, cls)
    (tmp_path / "one.jpg").write_bytes(files.store.path(0).read_bytes())
    assert len(unlabelled_photos(tmp_path, SUPERCLASSES)) == 1
