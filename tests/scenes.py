"""Pictures that look like photos to a hash, and folders of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

ODD = "naïve <b>&'\"; 猫"
"""A name that markup, shells and tables could trip over."""


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Shapes of many colours, large and small ones as in photos; another seed gives another picture."""
    rng, whole = np.random.default_rng(seed), np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12, 24, 48):
        shapes = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        whole += np.asarray(shapes.resize(size, Image.Resampling.BICUBIC)) / cells
    whole -= whole.min()
    return Image.fromarray((255 * whole / whole.max()).astype(np.uint8))


def tree(top: Path, *folders: str, each: int = 12, seed: int = 0) -> Path:
    """`each` JPEG files in every folder, all of them different."""
    for folder in folders:
        (top / folder).mkdir(parents=True)
        for i in range(each):
            seed += 1
            scene(seed).save(top / folder / f"{i:02}.jpg", quality=90)
    return top


def spoil(folder: Path) -> dict[str, str]:
    """Put three files into a folder that cannot be read; {name: a part of the reason}."""
    scene(-1 % 2**32).save(folder / "whole.jpg")
    scene(-2 % 2**32).save(folder / "whole.png")
    for name in ("whole.jpg", "whole.png"):
        content = (folder / name).read_bytes()
        (folder / name.replace("whole", "cut")).write_bytes(content[: len(content) // 2])
        (folder / name).unlink()
    (folder / f"{ODD}.jpg").touch()
    return {"cut.jpg": "truncated", "cut.png": "truncated", f"{ODD}.jpg": "empty"}


def copy(source: Path, target: Path) -> None:
    """The same file again."""
    shutil.copy(source, target)


def again(source: Path, target: Path) -> None:
    """The same photo, smaller and compressed once more."""
    with Image.open(source) as image:
        image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(target, quality=60)
