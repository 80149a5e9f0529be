"""Finding the selector of a bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from bundles import random_bundle

from eas_sdk.bank import bundle as bundles
from eas_sdk.errors import BundleError
from eas_sdk.selector.generator import GeneratorSelector
from eas_sdk.selector.registry import load_selector


def test_the_generator_of_a_bundle(tmp_path: Path) -> None:
    bundle = bundles.read(random_bundle(tmp_path))
    selector = load_selector(bundle)
    assert isinstance(selector, GeneratorSelector)
    assert selector.space == bundle.space
    assert selector.samples == bundle.selector["samples"]


@pytest.mark.parametrize("kind", [None, "oracle", "", 3, ["generator"], {"generator": 1}])
def test_an_unknown_kind_is_named(tmp_path: Path, kind: object) -> None:
    bundle = bundles.read(random_bundle(tmp_path))
    with pytest.raises(BundleError, match="generator"):
        load_selector(dataclasses.replace(bundle, selector={**bundle.selector, "kind": kind}))


def test_a_bundle_without_a_generator_s_tensors(tmp_path: Path) -> None:
    bundle = bundles.read(random_bundle(tmp_path))
    bank = {name: tensor for name, tensor in bundle.tensors.items() if not name.startswith("selector/")}
    with pytest.raises(BundleError, match="superclass_embedding"):
        load_selector(dataclasses.replace(bundle, tensors=bank))
