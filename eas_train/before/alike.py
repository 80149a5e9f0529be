"""Images that are there twice: with the same content, or as the same photo at another size or compressed again.

No image is compared with all others. Hashes of few different bits agree in one of their parts at least, and only images
that do, neighbours once they are sorted by it, are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from eas_train.before.look import HASH_BYTES, Look

PART = 12
"""Bits of a part."""
MOST_BITS = 8 * HASH_BYTES // PART - 1
"""Of the hash, in which the same photo may differ: fewer than there are parts."""
MOST_COLOUR = 12
"""By which its mean colour may differ, of 255, in each channel."""
NEIGHBOURS = 64
"""That an image is compared with in each part, at most: of very many that look alike, one leads to the next."""
BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)

Index = npt.NDArray[np.int64]


def alike(looks: Sequence[Look]) -> list[list[int]]:
    """The groups of two and more that are the same, each sorted, in order."""
    edges = [_same([seen.digest for seen in looks])]
    printed = np.array([i for i, seen in enumerate(looks) if seen.looks], np.int64)
    if len(printed):
        prints = np.frombuffer(b"".join(looks[i].looks for i in printed), np.uint8).reshape(len(printed), -1)
        edges.append(printed[_same([seen.looks for seen in (looks[i] for i in printed)])])
        _, first = np.unique(prints, axis=0, return_index=True)
        edges.append(printed[first[_near(prints[first])]])
    pairs = np.concatenate(edges)
    if not len(pairs):
        return []
    shape = (len(looks), len(looks))
    graph = coo_matrix((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape)
    _, labels = connected_components(graph, directed=False)
    groups: dict[int, list[int]] = {}
    often = np.bincount(labels)[labels] > 1
    for i in np.flatnonzero(often).tolist():
        groups.setdefault(int(labels[i]), []).append(i)
    return list(groups.values())


def _same(values: Sequence[bytes]) -> Index:
    """[n, 2]: each place with the first one of the same value; places without a value stay out."""
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(value, i), i) for i, value in enumerate(values) if value]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _near(prints: npt.NDArray[np.uint8]) -> Index:
    """[n, 2]: places of uint8 [N, bytes] hashes with their colours that are those of the same photo."""
    hashes, colours = np.ascontiguousarray(prints[:, :HASH_BYTES]), prints[:, HASH_BYTES:].astype(np.int16)
    found = []
    bits = np.unpackbits(hashes, axis=1)[:, : (MOST_BITS + 1) * PART].reshape(len(hashes), -1, PART)
    for part in (bits @ (1 << np.arange(PART, dtype=np.uint16))).T:
        order = np.argsort(part, kind="stable")
        keys = part[order]
        for apart in range(1, NEIGHBOURS + 1):
            places = np.flatnonzero(keys[apart:] == keys[:-apart])
            if not len(places):
                break
            pairs = np.stack([order[places], order[places + apart]], 1)
            one, other = (colours[of] for of in pairs.T)
            pairs = pairs[np.abs(one - other).max(1) <= MOST_COLOUR]
            one, other = (hashes[of] for of in pairs.T)
            found.append(pairs[BITS[one ^ other].sum(1, dtype=np.int64) <= MOST_BITS])
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)
