"""Sessions of the task "auto": the network follows the scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, patches, random_bundle
from settable_device import LOW, Device
from sizes import LARGE, SMALL, runtime_of_sizes

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.adaptive.session import Session
from eas_sdk.errors import ImageError, TaskError
from eas_sdk.images import to_square
from eas_sdk.router.model import combined


@pytest.fixture(scope="module")
def frames(runtime: Runtime) -> Mapping[str | None, np.ndarray]:
    """An image of each superclass, and one of none: [1, S, S, 3]."""
    images = patches(200, SPACE.input_sizes[-1], seed=3)
    routes = runtime.checked_router().compile().routes(images)
    best = {}
    for name in (*SUPERCLASSES, None):
        sure = [r.probability if r.superclass == name else -1.0 for r in routes]
        if name is None:
            sure = [-r.probability for r in routes]
        best[name] = images[int(np.argmax(sure))][None]
    return best


def test_router_and_network_answer_together(
    start: Callable[..., Session], frames: Mapping[str | None, np.ndarray]
) -> None:
    session = start("auto")
    assert session.scene is None
    session.predict(frames["tools"])
    assert session.scene is not None
    assert session.scene.superclass == session.task.name == "tools"
    session.refresh()
    assert session.model.task.name == "tools"
    (prediction,) = session.predict(frames["tools"])
    assert prediction == combined(session.scene, session.model.logits(frames["tools"])[0], session.model)
    assert prediction.superclass == "tools"


def test_the_network_follows_the_scene_and_every_answer_has_a_label(
    start: Callable[..., Session], frames: Mapping[str | None, np.ndarray]
) -> None:
    session = start("auto")
    seen = []
    for name in ("birds", "tools", "birds"):
        for _ in range(5):
            (prediction,) = session.predict(frames[name])
            assert prediction.label in SUPERCLASSES[prediction.superclass]
        session.refresh()  # what was begun in the background is done
        seen.append(session.model.task.name)
    assert seen == ["birds", "tools", "birds"]
    assert session.counters.predictions == 15
    assert session.switches[-1].cached


def test_router_and_networks_of_three_sizes_see_the_same_frames(start: Callable[..., Session], tmp_path: Path) -> None:
    runtime = runtime_of_sizes(tmp_path)
    frames = patches(40, 96, seed=5)[:, :, :80]
    routes = runtime.checked_router().compile().routes(frames)
    frame = frames[int(np.argmax([route.probability for route in routes]))]
    session = start("auto", runtime=runtime, target="100%")
    for target, size in (("0%", SMALL), ("100%", LARGE)):
        session.target = target
        session.predict([frame])
        session.refresh()
        assert session.model.input_size == size
        (prediction,) = session.predict([frame])
        assert session.scene is not None
        own = to_square(frame, size)[None]
        assert prediction == combined(session.scene, session.model.logits(own)[0], session.model)
        np.testing.assert_array_equal(session.logits(frame[None]), session.model.logits(own))


def test_a_scene_of_nothing_known_has_no_label_and_keeps_the_network(
    start: Callable[..., Session], frames: Mapping[str | None, np.ndarray]
) -> None:
    session = start("auto")
    session.predict(frames["tools"])
    session.refresh()
    before = session.model
    for _ in range(12):
        (prediction,) = session.predict(frames[None])
    assert (prediction.label, prediction.superclass) == ("", "")
    session.refresh()
    assert session.model is before


def test_the_budget_pays_for_the_router_too(
    start: Callable[..., Session], runtime: Runtime, frames: Mapping[str | None, np.ndarray], device: Device
) -> None:
    router = runtime.checked_router().cost.madds
    session = start("auto")
    session.predict(frames["birds"])
    session.refresh()
    assert router + session.model.madds <= session.budget.madds == 2_000_000
    device.state = LOW
    session.refresh()
    assert router + session.model.madds <= session.budget.madds == 1_000_000
    session.target = "1k"
    session.refresh()
    assert router + session.model.madds == runtime.budget_range("auto")[0]
    assert session.counters.infeasible == 1


def test_a_task_may_be_set_and_taken_back(
    start: Callable[..., Session], runtime: Runtime, frames: Mapping[str | None, np.ndarray]
) -> None:
    session = start("auto")
    session.predict(frames["tools"])
    session.task = "birds"
    session.refresh()
    assert session.scene is None
    (prediction,) = session.predict(frames["tools"])
    assert prediction.label in SUPERCLASSES["birds"]
    session.task = "auto"
    session.predict(frames["tools"])
    session.refresh()
    assert (session.scene.superclass, session.model.task.name) == ("tools", "tools")
    assert session.model.labels == runtime.bundle.labels
    with pytest.raises(TaskError):
        session.task = "fish"


def test_bad_frames_leave_the_scene(start: Callable[..., Session], frames: Mapping[str | None, np.ndarray]) -> None:
    session = start("auto")
    session.predict(frames["tools"])
    with pytest.raises(ImageError):
        session.predict(np.full((1, 32, 32, 3), np.nan))
    assert session.scene is not None
    assert session.scene.superclass == "tools"
    session.close()
    assert session.predict(frames["tools"])[0].label


def test_without_a_router_it_is_refused(
    start: Callable[..., Session], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle"), router=False))
    with pytest.raises(TaskError, match="needs a router"):
        start("auto", runtime=bare)


def test_logits_of_auto_follow_too(start: Callable[..., Session], frames: Mapping[str | None, np.ndarray]) -> None:
    session = start("auto")
    session.answer(frames["insects"])
    session.refresh()
    answer = session.answer(frames["insects"])
    assert answer.model.task.name == "insects"
    assert answer.logits.shape == (1, 12)
