"""Published networks as elastic spaces: the table of each, and the choices that nest in it."""

from __future__ import annotations

import dataclasses

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import Head, LayerActivation, Stem, Unit


def _mobilenet(width: int, stride: int, activation: LayerActivation, squeeze_excite: bool) -> Unit:
    """A unit of once-for-all's space."""
    return Unit(width, stride, (2, 3, 4), (3, 5, 7), (3, 4, 6), activation, squeeze_excite)


PAPER = ElasticSpace(
    input_sizes=(224,),
    stem=Stem(16, 2, "hard_swish"),
    units=(
        Unit(16, 1, (1,), (3,), (1,), "relu"),
        _mobilenet(24, 2, "relu", False),
        _mobilenet(40, 2, "relu", True),
        _mobilenet(80, 2, "hard_swish", False),
        _mobilenet(112, 1, "hard_swish", True),
        _mobilenet(160, 2, "hard_swish", True),
    ),
    head=Head(960, "hard_swish", 1280),
)
"""The paper's space, that of once-for-all over MobileNetV3 (Cai et al. 2020; EAS, section 4): 224 px, width 1.0."""

SMALL = dataclasses.replace(
    PAPER,
    input_sizes=(64,),
    width_multiplier=0.4,
    units=(*PAPER.units[:-1], dataclasses.replace(PAPER.units[-1], stride=1)),
    largest=Architecture(()),
)
"""The same for 64 px. The last unit keeps a 4 x 4 map, so a large kernel still has a use."""

SIZES = (96, 128, 160, 192, 224)
"""Input sizes at which no map of a network that reduces five times has an odd side, the last one aside."""


LITE_RATIOS = (4, 5, 6)
"""Of these an untrained network still knows something; of 3 everywhere nothing (benchmarks/lite0_choices.py)."""


def _lite(width: int, stride: int, blocks: int, kernel: int) -> Unit:
    depths, kernels = tuple(range(1, blocks + 1)), tuple(range(3, kernel + 1, 2))
    return Unit(width, stride, depths, kernels, LITE_RATIOS, "relu6")


LITE0 = ElasticSpace(
    input_sizes=SIZES,
    stem=Stem(32, 2, "relu6"),
    units=(
        Unit(16, 1, (1,), (3,), (1,), "relu6"),
        _lite(24, 2, 2, 3),
        _lite(40, 2, 2, 5),
        _lite(80, 2, 3, 3),
        _lite(112, 1, 3, 5),
        _lite(192, 2, 4, 5),
        _lite(320, 1, 1, 3),
    ),
    head=Head(1280, "relu6"),
    padding="same",
    epsilon=1e-3,
)
"""EfficientNet-Lite0 is its largest member: published weights are imported by `eas_train.imports`."""

_LARGE_UNITS = (
    Unit(16, 1, (1,), (3,), (1,), "relu"),
    Unit(24, 2, (1, 2), (3,), (2, 3, 4), "relu"),
    Unit(40, 2, (1, 2, 3), (3, 5), (2, 3), "relu", True),
    Unit(80, 2, (1, 2, 3, 4), (3,), (2, 2.3, 2.5, 3, 4, 6), "hard_swish"),
    Unit(112, 1, (1, 2), (3,), (3, 4, 6), "hard_swish", True),
    Unit(160, 2, (1, 2, 3), (3, 5), (3, 4, 6), "hard_swish", True),
)
_LARGE_RATIOS = ((1,), (4, 3), (3, 3, 3), (6, 2.5, 2.3, 2.3), (6, 6), (6, 6, 6))

MOBILENET_V3_LARGE = ElasticSpace(
    input_sizes=SIZES,
    stem=Stem(16, 2, "hard_swish"),
    units=_LARGE_UNITS,
    head=Head(960, "hard_swish", 1280, feature_bias=True),
    epsilon=1e-3,
    largest=Architecture(
        tuple(
            tuple(Block(unit.kernels[-1], ratio) for ratio in ratios)
            for unit, ratios in zip(_LARGE_UNITS, _LARGE_RATIOS, strict=True)
        ),
        SIZES[-1],
    ),
)
"""torchvision's MobileNetV3-Large is its largest member (Howard et al. 2019, table 1)."""
