"""Selectors with random weights, for any space."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eas_sdk.selector.generator import ENCODINGS, HEADS, GeneratorSelector, load
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range


def random_tensors(
    space: ElasticSpace,
    *,
    superclasses: int = 3,
    budgets: int = 4,
    embedding: int = 4,
    hidden: int = 6,
    scale: float = 1.0,
    bias: float = 0.0,
    seed: int = 0,
    encoding: str = ENCODINGS[0],
) -> dict[str, np.ndarray]:
    """A generator's tensors: normal numbers times `scale`; `bias` is added to every gate's logit, or to an option's as
    often as it has smaller ones."""
    layout, rng = space.layout, np.random.default_rng(seed)
    shapes = {
        "superclass_embedding": (superclasses, embedding),
        "budget_embedding": (budgets, embedding),
        "lstm.input": (4 * hidden, 2 * embedding),
        "lstm.hidden": (4 * hidden, hidden),
        "lstm.bias": (4 * hidden,),
        "predictor": (superclasses, layout.gates),
    }
    multi = encoding == "multi-path"
    for head, gates in zip(HEADS, layout.widths, strict=True):
        shapes |= {f"{head}.weight": (gates + multi, hidden), f"{head}.bias": (gates + multi,)}
    tensors = {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    for head in HEADS:
        added = tensors[f"{head}.bias"]
        added += np.float32(bias) * (np.arange(len(added)) if multi else 1)
    return tensors


def config(
    space: ElasticSpace, *, budgets: int = 4, samples: int = 16, classes: int = 5, encoding: str = ENCODINGS[0]
) -> dict[str, object]:
    """A generator's configuration, with budgets from the smallest to beyond the largest network."""
    low, high = madds_range(space, classes)
    asked = np.linspace(low, high + budgets, budgets).tolist()
    return {"kind": "generator", "budgets": asked, "samples": samples, "encoding": encoding}


def random_selector(
    space: ElasticSpace,
    *,
    samples: int = 16,
    superclasses: int = 3,
    budgets: int = 4,
    encoding: str = ENCODINGS[0],
    **how: float,
) -> GeneratorSelector:
    """A loaded generator; `how`: see `random_tensors`."""
    tensors: Mapping[str, np.ndarray] = random_tensors(
        space,
        superclasses=superclasses,
        budgets=budgets,
        encoding=encoding,
        **how,  # type: ignore[arg-type]
    )
    return load(space, superclasses, config(space, budgets=budgets, samples=samples, encoding=encoding), tensors)
