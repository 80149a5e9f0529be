"""The scene: what frames show, smoothed, with hysteresis."""

from __future__ import annotations

import numpy as np
import pytest
from bundles import SUPERCLASSES, random_bundle
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import eas_sdk
from eas_sdk.router.network import Router
from eas_sdk.router.scene import MARGIN, Scene, look, route

BIRDS, INSECTS, TOOLS = np.eye(3) * 0.9
NOTHING = np.full(3, 0.02)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Router:
    """Of threshold 0.4."""
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle"))).checked_router()


def scenes(router: Router, *frames: np.ndarray) -> list[str | None]:
    """The superclass after each frame."""
    scene, found = Scene(), []
    for frame in frames:
        scene = look(scene, router, frame[None])
        found.append(scene.superclass)
    return found


def test_the_first_frame_decides_and_a_single_other_one_does_not(router: Router) -> None:
    assert scenes(router, BIRDS, TOOLS, BIRDS, BIRDS, NOTHING, BIRDS) == ["birds"] * 6
    assert scenes(router, NOTHING, BIRDS, BIRDS) == [None, None, "birds"]


def test_frames_that_go_on_change_it(router: Router) -> None:
    assert scenes(router, BIRDS, *[TOOLS] * 3) == ["birds", "birds", "tools", "tools"]
    assert scenes(router, BIRDS, *[NOTHING] * 4) == ["birds", "birds", "birds", None, None]


def test_two_that_are_equally_probable_do_not_take_turns(router: Router) -> None:
    rng = np.random.default_rng(0)
    frames = [np.array([0.45, 0.45, 0.05]) + rng.uniform(-0.05, 0.05, 3) for _ in range(100)]
    assert set(scenes(router, BIRDS, *frames)) == {"birds"}


def test_frames_at_once_are_frames_one_by_one(router: Router) -> None:
    frames = np.stack([BIRDS, TOOLS, TOOLS])
    at_once = look(Scene(), router, frames)
    one = Scene()
    for frame in frames:
        one = look(one, router, frame[None])
    assert at_once.superclass == one.superclass == "tools"
    np.testing.assert_array_equal(at_once.probabilities, one.probabilities)
    assert look(one, router, frames[:0]) is one


@given(frames=npst.arrays(np.float64, (12, 3), elements=st.floats(0, 1)))
def test_what_it_says_is_consistent(router: Router, frames: np.ndarray) -> None:
    scene = Scene()
    for frame in frames:
        scene = look(scene, router, frame[None])
        said = route(scene, router)
        assert said.superclass == scene.superclass
        assert sorted(name for name, _ in said.top) == sorted(SUPERCLASSES)
        assert scene.probabilities is not None
        if said.superclass is not None:
            assert said.probability >= scene.probabilities.max() - MARGIN
