"""How work is cut into blocks whose scratch stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_BYTES = 512 * 1024
"""Scratch of one block; with what is read and written it stays in a second-level cache of 1 to 2 MB."""


def blocks(batch: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cuts a batch of maps into blocks of whole images or, where one is too large, of rows of one image.

    Yields slices of images and rows. The positions of a block are contiguous.
    """
    images = BLOCK_BYTES // (rows * row_bytes)
    if images:
        for image in range(0, batch, images):
            yield slice(image, min(image + images, batch)), slice(0, rows)
        return
    step = max(1, BLOCK_BYTES // row_bytes)
    step = -(-rows // -(-rows // step))  # as many blocks, of nearly equal size
    for image in range(batch):
        for row in range(0, rows, step):
            yield slice(image, image + 1), slice(row, min(row + step, rows))


def length(part: slice) -> int:
    """Number of indices in a slice without a step."""
    return int(part.stop - part.start)


def positions(images: slice, rows: slice, size: int) -> slice:
    """The columns of a channels x positions matrix that a block covers, in maps `size` wide."""
    first = (images.start * size + rows.start) * size
    return slice(first, first + length(images) * length(rows) * size)
