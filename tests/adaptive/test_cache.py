"""The cache of networks: what it keeps, and what it drops first."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Model
from eas_sdk.adaptive.cache import CacheCounters, Key, ModelCache, model_bytes
from eas_sdk.graph.memory import memory_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Six networks of about the same size, in two tasks."""
    runtime = eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))
    smallest = SPACE.smallest
    fixed, (first, *others), *rest = smallest.units
    units = [(dataclasses.replace(first, kernel=kernel), *others) for kernel in (3, 5, 7)]
    architectures = [dataclasses.replace(smallest, units=(fixed, unit, *rest)) for unit in units]
    return [runtime.build(task, a) for task in ("birds", "tools") for a in architectures]


def key(model: Model) -> Key:
    return Key(model.task, model.architecture, model.engine)


def use(cache: ModelCache, *models: Model) -> None:
    for model in models:
        cache.activate(key(model), cache.get(key(model)) or model)


def held(cache: ModelCache, models: list[Model]) -> list[int]:
    return [index for index, model in enumerate(models) if key(model) in cache]


def test_the_size_of_a_network(models: list[Model]) -> None:
    model = models[0]
    weights = sum(weight.nbytes for weight in model.graph.weights.values())
    assert weights < model_bytes(model) < 4 * weights
    more = model_bytes(model, at_once=3) - model_bytes(model)
    activations = model.cost.peak_activation_bytes
    assert more == pytest.approx(
        2 * memory_model("numpy").bytes(0, activations) - 2 * memory_model("numpy").bytes(0, 0)
    )


def test_a_network_comes_back_as_it_was(models: list[Model]) -> None:
    cache = ModelCache(10**9)
    assert cache.get(key(models[0])) is None
    use(cache, *models)
    assert [cache.get(key(model)) for model in models] == models
    sizes = sum(model_bytes(model) for model in models)
    assert cache.counters == CacheCounters(hits=6, misses=7, evictions=0, networks=6, bytes=sizes)


def test_the_least_recently_used_is_dropped_first(models: list[Model]) -> None:
    cache = ModelCache(3, lambda model: 1)
    use(cache, models[0], models[1], models[2], models[0], models[3])
    assert held(cache, models) == [0, 2, 3]
    assert cache.get(key(models[2])) is models[2]  # looking counts as using
    use(cache, models[4])
    assert held(cache, models) == [2, 3, 4]
    assert cache.counters == CacheCounters(hits=2, misses=5, evictions=2, networks=3, bytes=3)


def test_sizes_count_and_not_numbers(models: list[Model]) -> None:
    sizes = dict(zip(map(key, models), (1, 1, 1, 3, 1, 1), strict=True))
    cache = ModelCache(4, lambda model: sizes[key(model)])
    use(cache, *models[:4])
    assert held(cache, models) == [2, 3]
    assert cache.counters.bytes == 4


def test_the_active_network_stays_even_where_it_is_too_large(models: list[Model]) -> None:
    cache = ModelCache(0)
    use(cache, models[0])
    assert held(cache, models) == [0]
    cache.trim()
    assert held(cache, models) == [0]
    use(cache, models[1])
    assert held(cache, models) == [1]


def test_trimming_leaves_the_active_network(models: list[Model]) -> None:
    cache = ModelCache(10**9)
    use(cache, *models, models[2])
    cache.trim()
    assert held(cache, models) == [2]
    assert cache.counters.bytes == model_bytes(models[2])
    assert cache.counters.evictions == 5


def test_a_network_that_is_activated_again_is_counted_once(models: list[Model]) -> None:
    cache = ModelCache(10**9)
    for _ in range(3):
        cache.activate(key(models[0]), models[0])
    assert cache.counters.bytes == model_bytes(models[0])


def test_other_tasks_of_that_name_and_other_engines_are_other_networks(models: list[Model]) -> None:
    cache = ModelCache(10**9)
    use(cache, models[0])
    task = dataclasses.replace(models[0].task, classes=(1, 0, 2))
    assert cache.get(key(models[0])._replace(task=task)) is None
    assert cache.get(key(models[0])._replace(engine="litert")) is None


def test_threads_share_a_cache(models: list[Model]) -> None:
    cache = ModelCache(3, lambda model: 1)

    def work(seed: int) -> None:
        for step in range(300):
            use(cache, models[(seed * 7 + step * step) % 6])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    counters = cache.counters
    assert counters.hits + counters.misses == 1200
    assert counters.networks == counters.bytes == len(held(cache, models)) == 3
