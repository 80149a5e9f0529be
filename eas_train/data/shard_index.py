"""Where the samples of tar shards are: one pass over their headers, kept in a file so that it is made once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.atomic import replacing
from eas_sdk.errors import DataError
from eas_train.data.class_lists import listed
from eas_train.data.tar_samples import read_samples

FORMAT = 1
BAR_FROM_BYTES = 1 << 27
"""Of shards to read; the headers of fewer are read within about two seconds."""
NO_LABEL = -1
COLUMNS = ("offset", "length", "label")


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The samples of some shards that have an image, in the order of the shards and in theirs.

    Attributes:
        paths: the shards.
        shard: int32 [N], index into `paths`; offset: int64 [N], of the image's first byte; length: int32 [N], in bytes.
        label: int32 [N], index into `labels`, or `NO_LABEL`.
        labels: texts, as the shards have them.
    """

    paths: tuple[Path, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    label: npt.NDArray[np.int32]
    labels: tuple[str, ...]


_Rows = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]
"""The `COLUMNS` of one shard, or of all."""
_State = tuple[str, int, int]
"""What tells whether a shard is the one that was indexed: name, bytes, time of its last change in ns."""


def shard_files(notation: str) -> list[Path]:
    """The shards that `train-{000000..000099}.tar` stands for, in WebDataset's notation; also one path, or several
    with `::` between them.

    Raises:
        DataError: it is a URL or a command, which must be mounted or downloaded first.
    """
    from webdataset.shardlists import expand_urls

    paths = expand_urls(notation)
    if remote := [path for path in paths if "://" in path or path.startswith("pipe:")]:
        raise DataError(
            f"shards are files of this machine or of a folder that is mounted; mount or download {listed(remote, 3)}"
        )
    return [Path(path) for path in paths]


@dataclass
class _Kept:
    """What is known of shards: for each its `COLUMNS`, with labels as in `ShardIndex`."""

    labels: dict[str, int]
    rows: dict[_State, _Rows]


def index_shards(paths: Sequence[Path], index: Path | None = None) -> ShardIndex:
    """The samples of shards. There is a progress bar where there is much to read.

    Args:
        index: a .npz file that keeps the result. Shards whose name, length and time of change are those of before are
            not read again. It is made where it is missing or damaged, and replaced where shards differ.

    Raises:
        DataError: naming a shard that is missing, is there twice or cannot be read (see `read_samples`), or an index
            that cannot be written; or no shard is given.
    """
    if not paths:
        raise DataError("photos in shards need at least one shard; got none")
    if twice := sorted({os.fspath(path) for path in paths if paths.count(path) > 1}):
        raise DataError(f"a shard is read once; more than once: {listed(twice)}")
    states = _states(paths)
    known = _Kept({}, {}) if index is None else _read(index)
    unread = [i for i, state in enumerate(states) if state not in known.rows]
    with _reading(len(unread), sum(states[i][1] for i in unread)) as update:
        for done, i in enumerate(unread, 1):
            known.rows[states[i]] = _rows(paths[i], known.labels)
            update(done, paths[i].name)
    rows = [known.rows[state] for state in states]
    counts = [len(offset) for offset, _, _ in rows]
    offset, length, label = (np.concatenate(column) for column in zip(*rows, strict=True))
    if index is not None and unread:
        _write(index, states, counts, (offset, length, label), known.labels)
    shard = np.repeat(np.arange(len(paths), dtype=np.int32), counts)
    return ShardIndex(tuple(paths), shard, offset, length, label, tuple(known.labels))


def _states(paths: Sequence[Path]) -> list[_State]:
    top = os.path.commonpath([os.path.abspath(path.parent) for path in paths])
    states = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"a shard is a tar file; {path} cannot be read: {error.strerror}") from None
        states.append((os.path.relpath(os.path.abspath(path), top), status.st_size, status.st_mtime_ns))
    return states


def _rows(path: Path, labels: dict[str, int]) -> _Rows:
    """Those of one shard; labels that are new are added."""
    samples = read_samples(path)
    codes = [NO_LABEL if s.label is None else labels.setdefault(s.label, len(labels)) for s in samples]
    return (
        np.array([s.offset for s in samples], np.int64),
        np.array([s.length for s in samples], np.int32),
        np.array(codes, np.int32),
    )


def _read(index: Path) -> _Kept:
    """What `_write` kept; nothing where that is missing, damaged or of another version."""
    try:
        with open(index, "rb") as content, np.load(content, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head["format"] != FORMAT:
                return _Kept({}, {})
            ends = np.cumsum(head["counts"])[:-1]
            columns = [np.split(file[name], ends) for name in COLUMNS]
            states = [(str(name), int(size), int(changed)) for name, size, changed in head["states"]]
            return _Kept(
                {str(label): i for i, label in enumerate(head["labels"])},
                dict(zip(states, zip(*columns, strict=True), strict=True)),
            )
    # A damaged zip or array surfaces as anything; whatever it is, shards are read again.
    except Exception:
        return _Kept({}, {})


def _write(index: Path, states: Sequence[_State], counts: Sequence[int], rows: _Rows, labels: dict[str, int]) -> None:
    head = json.dumps({"format": FORMAT, "states": states, "counts": counts, "labels": list(labels)}).encode()
    offset, length, label = rows
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        with replacing(index) as file:
            np.savez(file, head=np.frombuffer(head, np.uint8), offset=offset, length=length, label=label)
    except OSError as error:
        raise DataError(
            f"the index of shards is kept in {index}, which cannot be written: {error}; EAS_CACHE_DIR says where "
            "it goes by default"
        ) from None


def _reading(count: int, total_bytes: int) -> AbstractContextManager[Callable[[int, str], None]]:
    """A context of `update(done, note)`, which shows progress where `count` shards take more than two seconds."""
    if total_bytes < BAR_FROM_BYTES:
        return nullcontext(lambda done, note: None)
    from eas_train.progress import progress

    return progress("read shards", count)
