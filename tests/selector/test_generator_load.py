"""Loading a generator: what is read, and how what is malformed is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bundles import SIZES, SPACE
from random_selectors import HEADS, config, random_tensors
from selector.request_spaces import RAGGED, madds_of, random_requests

from eas_sdk.errors import BundleError
from eas_sdk.selector.generator import ENCODINGS, load
from eas_sdk.selector.protocol import Request
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floating_point_is_read(dtype: type) -> None:
    tensors = {name: tensor.astype(dtype) for name, tensor in random_tensors(SPACE).items()}
    low, _ = madds_range(SPACE, 5)
    (answer,) = load(SPACE, 3, config(SPACE), tensors).select([Request(((0, 1),), 5, 2 * low)])
    assert madds_of(SPACE, answer, 5) <= 2 * low


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("budgets", None),
        ("budgets", 4e6),
        ("budgets", "4M"),
        ("budgets", []),
        ("budgets", [1e6]),
        ("budgets", [1e6, 1e6, 2e6, 3e6]),
        ("budgets", [3e6, 2e6, 1e6, 0]),
        ("budgets", [1e6, 2e6, 3e6, "4e6"]),
        ("budgets", [False, True, 2, 3]),
        ("budgets", [1e6, 2e6, 3e6, math.nan]),
        ("budgets", [1e6, 2e6, 3e6, math.inf]),
        ("budgets", [[1e6], [2e6]]),
        ("samples", None),
        ("samples", 0),
        ("samples", -1),
        ("samples", 4097),
        ("samples", 16.0),
        ("samples", True),
        ("samples", "16"),
    ],
)
def test_a_malformed_configuration_is_named(key: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"'{key}'"):
        load(SPACE, 3, config(SPACE) | {key: value}, random_tensors(SPACE))


@pytest.mark.parametrize("key", ["budgets", "samples"])
def test_a_missing_configuration_is_named(key: str) -> None:
    made = {k: v for k, v in config(SPACE).items() if k != key}
    with pytest.raises(BundleError, match=f"'{key}'"):
        load(SPACE, 3, made, random_tensors(SPACE))


@pytest.mark.parametrize("key", ["cost", "encoding"])
@pytest.mark.parametrize("value", [None, "", "paths", 1, ["madds"]])
def test_a_cost_or_an_encoding_that_does_not_exist_is_named(key: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"'{key}' is one of"):
        load(SPACE, 3, config(SPACE) | {key: value}, random_tensors(SPACE))


TENSORS = sorted(random_tensors(SIZES))


@pytest.mark.parametrize("name", TENSORS)
def test_a_malformed_tensor_is_named(name: str) -> None:
    tensors = random_tensors(SIZES)
    good = tensors[name]
    not_finite = good.copy()
    not_finite[(0,) * good.ndim] = np.nan
    faults = [good[..., :-1], good[None], good.astype(np.int32), good > 0, not_finite, good * np.float32(np.inf)]
    for bad in (*faults, None):
        altered = {k: bad if k == name else v for k, v in tensors.items() if k != name or bad is not None}
        with pytest.raises(BundleError) as caught:
            load(SIZES, 3, config(SIZES), altered)
        # One axis too few in an embedding contradicts the tensors that hang on it.
        if bad is None or bad.shape == good.shape or bad.ndim != good.ndim:
            assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["size.weight", "size.bias"])
def test_a_head_of_sizes_has_as_many_gates_as_the_space(name: str) -> None:
    for space, other in ((SPACE, SIZES), (SIZES, SPACE), (SIZES, RAGGED)):
        tensors = random_tensors(space) | {name: random_tensors(other)[name]}
        with pytest.raises(
            BundleError, match=rf"tensor '{name}' is floating point of shape \({len(space.input_sizes) - 1},"
        ):
            load(space, 3, config(space), tensors)
        del tensors[name]
        with pytest.raises(BundleError, match=rf"'{name}' .* got nothing"):
            load(space, 3, config(space), tensors)


@pytest.mark.parametrize("space", [SPACE, SIZES, RAGGED], ids=["one size", "three", "ragged"])
def test_tensors_of_the_other_encoding_are_named(space: ElasticSpace) -> None:
    for mine, theirs in (ENCODINGS, ENCODINGS[::-1]):
        with pytest.raises(BundleError, match=r"'depth.weight' is floating point of shape"):
            load(space, 3, config(space, encoding=mine), random_tensors(space, encoding=theirs))


def test_tensors_of_another_number_of_superclasses_or_budgets() -> None:
    with pytest.raises(BundleError, match="'superclass_embedding'"):
        load(SPACE, 4, config(SPACE), random_tensors(SPACE))
    with pytest.raises(BundleError, match="'budget_embedding'"):
        load(SPACE, 3, config(SPACE, budgets=5), random_tensors(SPACE))


def test_weights_are_copied_where_the_caller_could_change_them() -> None:
    tensors = random_tensors(SPACE)
    selector = load(SPACE, 3, config(SPACE), tensors)
    requests = random_requests(SPACE, 20, seed=1)
    before = selector.select(requests)
    for head in HEADS:
        tensors[f"{head}.bias"] += 100
    assert selector.select(requests) == before
