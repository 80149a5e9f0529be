"""The JSON of the published elastic spaces: what trainings and bundles have recorded; a change would orphan them."""

from __future__ import annotations

import json
from typing import Any


def _unit(width: int, stride: int, choices: str, activation: str, squeeze: bool = False) -> dict[str, Any]:
    """The JSON of a unit, its choices as "depths / kernels / ratios"."""
    depths, kernels, ratios = ([json.loads(word) for word in part.split()] for part in choices.split("/"))
    return {
        "width": width,
        "stride": stride,
        "depths": depths,
        "kernels": kernels,
        "expansions": ratios,
        "activation": activation,
        "squeeze_excite": squeeze,
    }


OFA, FIRST = "2 3 4 / 3 5 7 / 3 4 6", "1 / 3 / 1"
PAPER_UNITS = [
    _unit(16, 1, FIRST, "relu"),
    _unit(24, 2, OFA, "relu"),
    _unit(40, 2, OFA, "relu", True),
    _unit(80, 2, OFA, "hard_swish"),
    _unit(112, 1, OFA, "hard_swish", True),
    _unit(160, 2, OFA, "hard_swish", True),
]
RECORDED: dict[str, dict[str, Any]] = {
    "paper": {
        "kind": "elastic",
        "input_sizes": [224],
        "stem": {"width": 16, "stride": 2, "activation": "hard_swish"},
        "units": PAPER_UNITS,
        "head": {"width": 960, "activation": "hard_swish", "feature": 1280, "feature_bias": False},
        "width_multiplier": 1.0,
        "padding": "symmetric",
        "epsilon": 1e-05,
        "largest": {"units": [["k3e1"], *[["k7e6"] * 4] * 5]},
    },
    "lite0": {
        "kind": "elastic",
        "input_sizes": [96, 128, 160, 192, 224],
        "stem": {"width": 32, "stride": 2, "activation": "relu6"},
        "units": [
            _unit(16, 1, FIRST, "relu6"),
            _unit(24, 2, "1 2 / 3 / 4 5 6", "relu6"),
            _unit(40, 2, "1 2 / 3 5 / 4 5 6", "relu6"),
            _unit(80, 2, "1 2 3 / 3 / 4 5 6", "relu6"),
            _unit(112, 1, "1 2 3 / 3 5 / 4 5 6", "relu6"),
            _unit(192, 2, "1 2 3 4 / 3 5 / 4 5 6", "relu6"),
            _unit(320, 1, "1 / 3 / 4 5 6", "relu6"),
        ],
        "head": {"width": 1280, "activation": "relu6", "feature": None, "feature_bias": False},
        "width_multiplier": 1.0,
        "padding": "same",
        "epsilon": 0.001,
        "largest": {
            "input_size": 224,
            "units": [
                ["k3e1"],
                ["k3e6"] * 2,
                ["k5e6"] * 2,
                ["k3e6"] * 3,
                ["k5e6"] * 3,
                ["k5e6"] * 4,
                ["k3e6"],
            ],
        },
    },
    "mobilenet-v3-large": {
        "kind": "elastic",
        "input_sizes": [96, 128, 160, 192, 224],
        "stem": {"width": 16, "stride": 2, "activation": "hard_swish"},
        "units": [
            _unit(16, 1, FIRST, "relu"),
            _unit(24, 2, "1 2 / 3 / 2 3 4", "relu"),
            _unit(40, 2, "1 2 3 / 3 5 / 2 3", "relu", True),
            _unit(80, 2, "1 2 3 4 / 3 / 2 2.3 2.5 3 4 6", "hard_swish"),
            _unit(112, 1, "1 2 / 3 / 3 4 6", "hard_swish", True),
            _unit(160, 2, "1 2 3 / 3 5 / 3 4 6", "hard_swish", True),
        ],
        "head": {"width": 960, "activation": "hard_swish", "feature": 1280, "feature_bias": True},
        "width_multiplier": 1.0,
        "padding": "symmetric",
        "epsilon": 0.001,
        "largest": {
            "input_size": 224,
            "units": [
                ["k3e1"],
                ["k3e4", "k3e3"],
                ["k5e3"] * 3,
                ["k3e6", "k3e2.5", "k3e2.3", "k3e2.3"],
                ["k3e6"] * 2,
                ["k5e6"] * 3,
            ],
        },
    },
}
RECORDED["small"] = RECORDED["paper"] | {
    "input_sizes": [64],
    "units": [*PAPER_UNITS[:-1], PAPER_UNITS[-1] | {"stride": 1}],
    "width_multiplier": 0.4,
}
