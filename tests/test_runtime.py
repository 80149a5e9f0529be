"""The runtime on a bundle of random weights: what a user of the SDK relies on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, random_bundle
from latency.tables import random_table
from sizes import LARGE, SMALL, runtime_of_sizes

import eas_sdk
from eas_sdk import Budget, Runtime
from eas_sdk.bank.shipped import SHIPPED
from eas_sdk.errors import ArchitectureError, BudgetError, ImageError, InfeasibleBudget, InputError, TaskError
from eas_sdk.graph.cost import cost
from eas_sdk.images import to_square
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_table
from eas_sdk.task import Task, resolve

SIDE = SPACE.input_sizes[-1]
IMAGES = np.random.default_rng(5).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def runtime(path: Path) -> Runtime:
    return eas_sdk.load(path)


def test_tasks_and_labels(runtime: Runtime) -> None:
    assert runtime.tasks == tuple(SUPERCLASSES)
    for task in runtime.tasks:
        assert runtime.labels(task) == tuple(SUPERCLASSES[task])


def test_the_range_of_budgets_is_that_of_real_networks(runtime: Runtime) -> None:
    for task, labels in SUPERCLASSES.items():
        ends = (cost(SPACE.structure(end, len(labels))).madds for end in (SPACE.smallest, SPACE.largest))
        assert runtime.budget_range(task) == tuple(ends)
        assert all(type(end) is int for end in runtime.budget_range(task))


def test_a_specialised_model(runtime: Runtime) -> None:
    low, high = runtime.budget_range("insects")
    models = [runtime.specialize("insects", budget) for budget in np.linspace(low, high, 5).astype(int)]
    for model, budget in zip(models, np.linspace(low, high, 5).astype(int), strict=True):
        assert low <= model.madds <= budget
        assert model.labels == model.graph.labels == model.task.labels == ("ant", "bee", "beetle", "snail")
        assert model.input_size == SIDE
        assert model.cost == cost(SPACE.structure(model.architecture, 4))
        assert model.parameters == model.cost.parameters
        logits = model.logits(IMAGES)
        assert logits.shape == (6, 4)
        assert logits.dtype == np.float32
    assert models[0].madds == low
    assert models[-1].madds > models[0].madds


@pytest.mark.parametrize("budget", ["1M", "1000k", 1_000_000, 1e6, np.int64(1_000_000), np.float32(1e6), Budget(10**6)])
def test_equal_budgets_give_equal_networks(runtime: Runtime, budget: object) -> None:
    assert runtime.specialize("birds", budget).architecture == runtime.specialize("birds", 10**6).architecture
    assert runtime.specialize("birds", budget).madds <= 10**6


def test_a_task_object_means_its_superclass(runtime: Runtime) -> None:
    task = resolve("tools", runtime.bundle.superclasses)
    assert runtime.labels(task) == runtime.labels("tools")
    assert runtime.budget_range(task) == runtime.budget_range("tools")
    named, given = (runtime.specialize(t, "1M", seed=4) for t in ("tools", task))
    assert named.task == given.task == task
    np.testing.assert_array_equal(named.logits(IMAGES), given.logits(IMAGES))


def test_a_task_over_some_classes(runtime: Runtime) -> None:
    some = Task("owl or saw", (10, 1), ("saw", "owl"), ((0, 1), (2, 1)))
    model = runtime.specialize(some, "1M")
    assert model.labels == ("saw", "owl")
    full = runtime.build("birds", model.architecture).logits(IMAGES)
    np.testing.assert_allclose(model.logits(IMAGES)[:, 1], full[:, 1], rtol=1e-4, atol=1e-5)


def test_seeds_change_the_sample_and_never_the_rules(runtime: Runtime) -> None:
    requests = [(task, budget) for task in runtime.tasks for budget in range(600_000, 2_400_000, 100_000)]
    answers = [runtime.architectures(requests, seed=seed) for seed in (0, 0, 1, 2**40)]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2] != answers[3]
    for drawn in answers:
        for (task, budget), architecture in zip(requests, drawn, strict=True):
            assert cost(SPACE.structure(architecture, len(SUPERCLASSES[task]))).madds <= budget


def test_one_by_one_and_together(runtime: Runtime) -> None:
    requests: list[tuple[str | Task, object]] = [("birds", "1M"), ("tools", 800_000), ("birds", 2e6), ("birds", "1M")]
    together = runtime.architectures(requests, seed=3)
    assert together == [runtime.specialize(task, b, seed=3).architecture for task, b in requests]
    assert runtime.architectures([]) == []


def test_ten_thousand_requests_keep_their_budgets(runtime: Runtime) -> None:
    rng = np.random.default_rng(1)
    tasks = [runtime.tasks[t] for t in rng.integers(0, len(runtime.tasks), 10_000)]
    ends = np.array([runtime.budget_range(task) for task in tasks])
    budgets = rng.integers(ends[:, 0], ends[:, 1] * 1.1)
    budgets[::100] = ends[::100, 0]
    answers = runtime.architectures(list(zip(tasks, budgets.tolist(), strict=True)), seed=2)
    classes = np.array([len(SUPERCLASSES[task]) for task in tasks])
    spent = madds_table(SPACE).total(SPACE, SPACE.encode(answers), classes)
    assert len(answers) == 10_000
    assert (spent <= budgets).all()
    assert (spent >= ends[:, 0]).all()
    for i in range(0, 10_000, 50):
        assert cost(SPACE.structure(answers[i], int(classes[i]))).madds == spent[i]


@pytest.mark.parametrize("task", SUPERCLASSES)
def test_the_nearest_feasible_budget_is_feasible_and_one_less_is_not(runtime: Runtime, task: str) -> None:
    for budget in (1, "1k", 0.5, 400_000):
        with pytest.raises(InfeasibleBudget) as caught:
            runtime.specialize(task, budget)
        nearest = caught.value.nearest.madds
        assert str(nearest) in str(caught.value)
        assert repr(task) in str(caught.value)
        assert isinstance(caught.value, BudgetError)
    assert nearest is not None
    assert runtime.specialize(task, nearest).madds == nearest == runtime.budget_range(task)[0]
    with pytest.raises(InfeasibleBudget):
        runtime.specialize(task, nearest - 1)


@pytest.mark.parametrize("budget", [None, "", "4X", "-1", float("nan"), float("inf"), 0, True, [], "1e400"])
def test_a_malformed_budget_is_refused(runtime: Runtime, budget: object) -> None:
    with pytest.raises(BudgetError, match="a budget is") as caught:
        runtime.specialize("birds", budget)
    assert not isinstance(caught.value, InfeasibleBudget)


@pytest.mark.parametrize(
    "call",
    [
        lambda r, t: r.specialize(t, "1M"),
        lambda r, t: r.build(t, SPACE.smallest),
        lambda r, t: r.labels(t),
        lambda r, t: r.budget_range(t),
        lambda r, t: r.architectures([("birds", "1M"), (t, "1M")]),
    ],
)
def test_an_unknown_task_is_refused_everywhere(runtime: Runtime, call: Callable[[Runtime, object], object]) -> None:
    with pytest.raises(TaskError, match="did you mean 'insects'"):
        call(runtime, "insect")
    with pytest.raises(TaskError):
        call(runtime, Task("insects", (0,), ("duck",), ((9, 1),)))


def test_the_first_request_at_fault_is_reported(runtime: Runtime) -> None:
    with pytest.raises(InfeasibleBudget):
        runtime.architectures([("birds", "1M"), ("birds", 1), ("nothing", None)])
    with pytest.raises(TaskError):
        runtime.architectures([("nothing", None), ("birds", 1)])


@pytest.mark.parametrize("seed", [-1, None, "0", 1.0, True])
def test_a_seed_is_a_whole_number(runtime: Runtime, seed: object) -> None:
    with pytest.raises(InputError, match="seed"):
        runtime.specialize("birds", "1M", seed=seed)  # type: ignore[arg-type]


def test_numpy_integers_are_seeds(runtime: Runtime) -> None:
    requests = [("birds", b) for b in range(600_000, 1_600_000, 100_000)]
    assert runtime.architectures(requests, seed=np.int32(3)) == runtime.architectures(requests, seed=3)  # type: ignore[arg-type]


def test_an_unknown_engine_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="numpy"):
        runtime.specialize("birds", "1M", engine="numpi")


def test_a_given_architecture(runtime: Runtime) -> None:
    model = runtime.build("birds", SPACE.largest)
    assert model.architecture == SPACE.largest
    assert model.madds == runtime.budget_range("birds")[1]
    with pytest.raises(ArchitectureError):
        runtime.build("birds", dataclasses.replace(SPACE.largest, units=SPACE.largest.units[:4]))
    with pytest.raises(ArchitectureError, match="parse"):
        runtime.build("birds", str(SPACE.largest))  # type: ignore[arg-type]


def test_predictions_are_the_logits_softmax_in_order(runtime: Runtime) -> None:
    model = runtime.specialize("tools", "2M")
    logits = model.logits(IMAGES).astype(float)
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = model.predict(IMAGES, top_k=5)
    assert len(predictions) == len(IMAGES)
    for row, prediction in zip(softmax, predictions, strict=True):
        labels, probabilities = zip(*prediction.top, strict=True)
        assert set(labels) == set(model.labels)
        assert sum(probabilities) == pytest.approx(1, abs=1e-9)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert {model.labels[c]: p for c, p in enumerate(row)} == pytest.approx(dict(prediction.top))
        assert (prediction.label, prediction.probability) == prediction.top[0]
    assert len({p.label for p in predictions} | {p.top for p in predictions}) > 1


@pytest.mark.parametrize(("top_k", "length"), [(1, 1), (2, 2), (5, 5), (6, 5), (10**9, 5), (0, 1), (-3, 1)])
def test_the_number_of_labels_in_a_prediction(runtime: Runtime, top_k: int, length: int) -> None:
    model = runtime.specialize("tools", "1M")
    whole, some = model.predict(IMAGES, top_k=5), model.predict(IMAGES, top_k=top_k)
    assert [p.top for p in some] == [p.top[:length] for p in whole]
    assert {len(p.top) for p in model.predict(IMAGES)} == {3}


def test_a_task_of_one_class_is_certain(runtime: Runtime) -> None:
    model = runtime.build(Task("owl", (1,), ("owl",), ((0, 1),)), SPACE.smallest)
    assert [p.top for p in model.predict(IMAGES)] == [(("owl", 1.0),)] * len(IMAGES)


def test_bytes_and_fractions_are_the_same_images(runtime: Runtime) -> None:
    model = runtime.specialize("birds", "1M")
    expected = model.logits(IMAGES)
    for images in ((IMAGES / 255).astype(np.float32), IMAGES / 255, np.asfortranarray(IMAGES)):
        np.testing.assert_array_equal(model.logits(images), expected)
    assert np.ptp(expected, axis=0).min() > 0


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[:0],
        IMAGES[:, :0],
        IMAGES[..., :1],
        IMAGES.astype(np.int64),
        IMAGES.astype(np.float32),
        np.full((1, SIDE, SIDE, 3), np.nan),
        np.full((1, SIDE, SIDE, 3), -0.01),
        IMAGES.tolist(),
        None,
    ],
    ids=["none", "shape", "grey", "int64", "range", "nan", "negative", "list", "None"],
)
def test_malformed_images_are_refused(runtime: Runtime, images: np.ndarray) -> None:
    model = runtime.specialize("birds", "1M")
    for call in (model.logits, model.predict):
        with pytest.raises(ImageError, match="N x H x W x 3"):
            call(images)


def test_images_of_any_size_are_brought_to_the_network_s(runtime: Runtime) -> None:
    model = runtime.specialize("birds", "1M")
    rng = np.random.default_rng(8)
    shapes = [(SIDE, SIDE), (48, 64), (100, 30), (SIDE, 90), (9, 9)]
    images = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    squares = np.stack([to_square(image, SIDE) for image in images])
    expected = model.logits(squares)
    np.testing.assert_allclose(model.logits(images), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.reference(images), model.logits(images))
    assert [p.label for p in model.predict(tuple(images))] == [p.label for p in model.predict(squares)]
    for image, wanted in zip(images, expected, strict=True):
        np.testing.assert_allclose(model.logits(image[None])[0], wanted, rtol=1e-4, atol=1e-5)
    fractions = [image / 255 for image in images]  # are not rounded on the way
    np.testing.assert_allclose(model.logits(fractions)[[0, 3]], expected[[0, 3]], rtol=1e-4, atol=1e-5)
    assert np.abs(model.logits(fractions) - expected).max() < 0.1 * np.abs(expected).max()


def test_networks_of_one_bundle_may_differ_in_size(tmp_path: Path) -> None:
    runtime = runtime_of_sizes(tmp_path)
    small, large = (runtime.specialize("birds", budget) for budget in ("0%", "100%"))
    assert (small.input_size, large.input_size) == (SMALL, LARGE)
    frames = np.random.default_rng(9).integers(0, 256, (3, 48, 64, 3), np.uint8)
    for model in (small, large):
        own = np.stack([to_square(frame, model.input_size) for frame in frames])
        np.testing.assert_array_equal(model.logits(frames), model.logits(own))


def test_threads_share_a_runtime_and_a_model(runtime: Runtime, path: Path) -> None:
    requests = [(task, budget, seed) for task in runtime.tasks for budget in ("700k", "1.4M") for seed in (0, 1)]
    shared = runtime.specialize("birds", "1M")
    alone = [eas_sdk.load(path).specialize(t, b, seed=s).logits(IMAGES) for t, b, s in requests]
    fixed = shared.logits(IMAGES)

    def work(request: tuple[str, str, int]) -> tuple[np.ndarray, np.ndarray]:
        task, budget, seed = request
        return runtime.specialize(task, budget, seed=seed).logits(IMAGES), shared.logits(IMAGES)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, requests * 4))
    for (own, common), expected in zip(together, alone * 4, strict=True):
        np.testing.assert_array_equal(own, expected)
        np.testing.assert_array_equal(common, fixed)


def test_loading_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        eas_sdk.load(tmp_path / "absent.safetensors")


def test_paths_of_any_kind(path: Path) -> None:
    assert eas_sdk.load(str(path)).tasks == eas_sdk.load(path).tasks


def test_shipped_bundles_have_names(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert eas_sdk.load("emoji").bundle.name == "emoji"
    assert eas_sdk.load().bundle.name == eas_sdk.load(SHIPPED[0]).bundle.name
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emoji").write_bytes(path.read_bytes())
    assert eas_sdk.load("emoji").bundle.name == "emoji", "a name is not the file that happens to have it"
    assert eas_sdk.load("./emoji").bundle.name == eas_sdk.load(path).bundle.name
    assert eas_sdk.load(tmp_path / "emoji").bundle.name == eas_sdk.load(path).bundle.name


def test_what_a_notebook_shows_is_short_and_says_what_it_is(tmp_path: Path) -> None:
    runtime = eas_sdk.load("emoji")
    model, routed = runtime.specialize("birds", "4M"), runtime.specialize("auto", "9M")
    table = random_table(runtime.bundle.space, 0)
    for thing, parts in (
        (runtime, ["Runtime", "emoji", "14 tasks", "multiply-adds"]),
        (runtime.bundle, ["Bundle", "emoji", "14 superclasses", "MB"]),
        (runtime.selector, ["GeneratorSelector"]),
        (runtime.router, ["Router", "14 superclasses"]),
        (routed.router, ["CompiledRouter", "numpy"]),
        (model, ["Model", "birds", "12 labels", "64 px", "numpy"]),
        (routed, ["RoutedModel", "14 superclasses"]),
        (model.graph, ["Graph", "64 px", "12 labels"]),
        (model.program, ["NumpyProgram", "64 px"]),
        (model.task, ["Task", "birds", "12 labels"]),
        (resolve("all", runtime.bundle.superclasses), ["Task", "labels"]),
        (runtime.bundle.superclasses[0], ["Superclass", "mammals"]),
        (model.architecture, ["Architecture", "k3e1"]),
        (model.architecture.units[0][0], ["Block", "k3e1"]),
        (model.cost, ["Cost", "madds"]),
        (Budget.parse("4M and 3ms"), ["Budget", "4000000"]),
        (table, ["LatencyTable", "segments"]),
        (model.predict(IMAGES[:1])[0], ["Prediction"]),
    ):
        shown = repr(thing)
        assert len(shown) < 250, type(thing)
        assert "\n" not in shown
        for part in parts:
            assert part in shown, shown
    assert eval(repr(model.architecture), {"Architecture": Architecture}) == model.architecture


@pytest.mark.parametrize("top_k", [2.0, "3", None, True, [1]])
def test_labels_are_counted_in_integers(runtime: Runtime, top_k: object) -> None:
    for model in (runtime.specialize("birds", "1M"), runtime.specialize("auto", "4M")):
        with pytest.raises(InputError, match="top_k is an integer, 1 or more; got"):
            model.predict(IMAGES[:1], top_k)  # type: ignore[arg-type]
    assert len(runtime.specialize("birds", "1M").predict(IMAGES[:1], np.int64(2))[0].top) == 2
