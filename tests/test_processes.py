"""Runtimes and models in other processes: pickled for them, and in children that are forked while threads predict."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Model, Runtime
from eas_sdk.bank.shipped import SHIPPED
from eas_sdk.errors import BundleError

SIDE = SPACE.input_sizes[-1]
IMAGES = np.random.default_rng(5).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


def again(thing: Any) -> Any:
    """What another process makes of it: whatever an object has cached for this one is useless there."""
    return pickle.loads(pickle.dumps(thing))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return random_bundle(tmp_path)


def logits(model: Model) -> np.ndarray:
    return model.logits(IMAGES)


def answers(runtime: Runtime) -> list[str]:
    hash(runtime.bundle.space)
    return [str(architecture) for architecture in runtime.architectures([("birds", "1M"), ("tools", "50%")])]


def test_worker_processes_are_given_models_and_runtimes(path: Path) -> None:
    """Spawned workers hash texts in another way, and import everything anew."""
    runtime = eas_sdk.load(path)
    models = [runtime.specialize("birds", budget) for budget in ("1M", "50%")]
    expected = answers(runtime)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for model, found in zip(models, pool.map(logits, models), strict=True):
            np.testing.assert_array_equal(found, model.logits(IMAGES))
        assert pool.apply(answers, (runtime,)) == expected


def test_a_pickled_model_is_a_path_and_a_request(path: Path) -> None:
    model = eas_sdk.load(path).specialize("birds", "1M", threads=2)
    model = dataclasses.replace(model, latency_ms=1.5)
    assert len(pickle.dumps(model)) < 5000
    found = again(model)
    np.testing.assert_array_equal(found.logits(IMAGES), model.logits(IMAGES))
    for name in ("task", "architecture", "cost", "engine", "latency_ms", "threads"):
        assert getattr(found, name) == getattr(model, name)


def test_a_shipped_bundle_is_found_by_its_name() -> None:
    runtime = eas_sdk.load()
    assert runtime.bundle.source is not None
    assert runtime.bundle.source.name == SHIPPED[0]
    image = np.zeros((1, 64, 64, 3), np.uint8)
    for task in ("birds", "auto"):
        model = runtime.specialize(task, "60%")
        assert again(model).predict(image) == model.predict(image)
    assert again(runtime).router.cost == runtime.checked_router().cost


def test_a_bundle_in_memory_is_pickled_whole(path: Path) -> None:
    runtime = eas_sdk.load(path)
    renamed = Runtime(dataclasses.replace(runtime.bundle, name="other"), runtime.selector)
    path.unlink()
    found = again(renamed)
    assert found.bundle.name == "other"
    assert answers(found) == answers(renamed)


def test_another_bundle_in_its_place_is_told(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pickled = pickle.dumps(eas_sdk.load(path).specialize("birds", "1M"))
    os.replace(random_bundle(tmp_path / "other", seed=1), path)
    with pytest.raises(BundleError, match="it holds another one"):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)


def test_a_session_is_not_pickled(path: Path) -> None:
    with eas_sdk.load(path).adaptive("birds") as session, pytest.raises(TypeError, match="pickle its runtime"):
        pickle.dumps(session)


FORKS = """
import os, signal, sys, threading, time
import numpy as np
import eas_sdk
from eas_sdk.errors import InputError

path, engine, task, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
runtime = eas_sdk.load(path)
image = np.zeros((1, {side}, {side}, 3), np.uint8)
session = runtime.adaptive("birds", engine=engine, poll_s=0.001)
model = runtime.specialize(task, "1M", engine=engine, threads=threads)
stop = threading.Event()

def work():
    while not stop.is_set():
        model.predict(image)
        session.predict(image)

def child():
    signal.alarm(20)  # a child that hangs is killed
    assert model.predict(image) == expected
    session.predict(image), session.counters, session.switches
    session.task = "tools"
    try:
        session.refresh()
    except InputError as error:
        assert "the process that opened it" in str(error)
        session.close()
        runtime.specialize(task, "2M", engine=engine, threads=threads).predict(image)
        return 7

expected = model.predict(image)
workers = [threading.Thread(target=work) for _ in range(3)]
for worker in workers:
    worker.start()
ends = []
for _ in range(int(sys.argv[5])):
    time.sleep(0.003)
    if (pid := os.fork()) == 0:
        code = 1
        try:
            code = child()
        finally:
            os._exit(code)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
for worker in workers:
    worker.join()
session.refresh()
print(ends)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("engine", "threads", "children"), [("numpy", 1, 20), ("litert", 1, 3), ("litert", 2, 3)])
def test_a_child_that_is_forked_while_threads_predict_predicts(
    path: Path, engine: str, threads: int, children: int
) -> None:
    if engine == "litert":
        pytest.importorskip("ai_edge_litert")
    script = FORKS.format(side=SIDE)
    arguments = [str(path), engine, "birds", str(threads), str(children)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, timeout=200
    )
    assert done.stdout.strip() == str([7] * children), done.stderr
