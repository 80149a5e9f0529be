"""The memory of a plan."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.engine.numpy_kernels.arena import SLAB_VALUES, Arena


@given(st.lists(st.tuples(st.integers(1, 400_000), st.integers(0, 10)), min_size=1, max_size=60))
def test_parts_in_use_never_overlap_and_what_is_returned_is_used_again(requests: list[tuple[int, int]]) -> None:
    arena, held, largest = Arena(), [], 0
    for tag, (count, returned) in enumerate(requests):
        lease, part = arena.take(count)
        assert part.size == count
        assert part.ctypes.data % 64 == 0
        part.fill(tag)
        held.append((tag, lease, part))
        largest = max(largest, sum(len(p) for _, _, p in held))
        for _ in range(min(returned, len(held))):
            kept, old, values = held.pop(0)
            assert (values == kept).all()
            arena.give(old)
    assert arena.size_bytes <= 4 * (3 * largest + SLAB_VALUES)
    for _, lease, _ in held:
        arena.give(lease)
    before = arena.size_bytes
    arena.take(SLAB_VALUES)  # the gaps have merged again
    assert arena.size_bytes == before


def test_a_part_larger_than_a_slab() -> None:
    _, part = Arena().take(SLAB_VALUES + 1)
    part.fill(np.float32(1))
    assert part.size == SLAB_VALUES + 1
