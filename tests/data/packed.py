"""Photos packed into tar shards by WebDataset's own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from webdataset import ShardWriter

from eas_train.data.photoset import PhotoFiles, PhotoSet


def pack(
    folder: Path,
    photos: PhotoSet,
    each: int,
    members: Callable[[int], dict[str, Any]],
    prefix: str = "train-",
    **options: Any,
) -> list[Path]:
    """Shards of `each` photos, in the order of the set, with further members that depend on the target."""
    assert isinstance(photos.store, PhotoFiles)
    folder.mkdir(parents=True, exist_ok=True)
    with ShardWriter(str(folder / f"{prefix}%06d.tar"), maxcount=each, verbose=0, **options) as writer:
        for i, target in enumerate(photos.targets.tolist()):
            image = photos.store.path(i).read_bytes()
            writer.write({"__key__": f"{i:09}", "jpg": image, **members(target)})
    return sorted(folder.glob(f"{prefix}*.tar"))


def cls(target: int) -> dict[str, Any]:
    """As webdataset's tools label: the class as a number."""
    return {"cls": target}
