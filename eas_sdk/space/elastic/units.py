"""What an elastic space is made of, as frozen data: stem, units and head."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.space.widths import MAX_CHOICE, MAX_WIDTH, check_integer

MAX_OPTIONS, MAX_DEPTH = 8, 16

LayerActivation: TypeAlias = Literal["relu", "relu6", "hard_swish"]
ACTIVATIONS = ("relu", "relu6", "hard_swish")

T = TypeVar("T", "Stem", "Unit", "Head")


@dataclass(frozen=True)
class Stem:
    """The first convolution, 3 x 3: its width before the multiplier, its stride, its activation."""

    width: int
    stride: int
    activation: LayerActivation

    def __post_init__(self) -> None:
        check_integer("the width of the stem", self.width, 1, MAX_WIDTH)
        check_integer("the stride of the stem", self.stride, 1, 2)
        _check_activation("the stem", self.activation)


@dataclass(frozen=True)
class Unit:
    """Inverted residual blocks that follow each other, and what there is to choose of them.

    Attributes:
        width: channels of the output, before the multiplier.
        stride: of the first block.
        depths: how many blocks there may be, ascending.
        kernels: sides of the depthwise kernels, odd and ascending.
        expansions: expansion ratios, ascending. A block of ratio 1 has no expanding convolution; then 1 is the only
            one.

    Raises:
        ArchitectureError: a value is of another type or out of range; the message names it.
    """

    width: int
    stride: int
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    activation: LayerActivation
    squeeze_excite: bool = False

    def __post_init__(self) -> None:
        check_integer("the width of a unit", self.width, 1, MAX_WIDTH)
        check_integer("the stride of a unit", self.stride, 1, 2)
        for name, most in (("depths", MAX_DEPTH), ("kernels", MAX_CHOICE), ("expansions", MAX_CHOICE)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not 1 <= len(values) <= MAX_OPTIONS:
                raise ArchitectureError(
                    f"the {name} of a unit are 1 to {MAX_OPTIONS} choices; got {reprlib.repr(values)}"
                )
            for value in values:
                if name == "expansions":
                    _check_ratio(value, most)
                else:
                    check_integer(f"each of the {name} of a unit", value, 1, most)
            if list(values) != sorted(set(values)) or (name == "kernels" and not all(v % 2 for v in values)):
                raise ArchitectureError(f"the {name} of a unit ascend, and kernels are odd; got {reprlib.repr(values)}")
        if 1 in self.expansions and len(self.expansions) > 1:
            raise ArchitectureError(
                "an expansion ratio of 1, which has no expanding convolution, is the only one of its unit; got "
                f"{reprlib.repr(self.expansions)}"
            )
        _check_activation("a unit", self.activation)
        if not isinstance(self.squeeze_excite, bool):
            raise ArchitectureError(
                f"squeeze_excite of a unit is true or false; got {reprlib.repr(self.squeeze_excite)}"
            )

    @property
    def options(self) -> tuple[int, int, int]:
        """How many depths, kernels and expansion ratios there are."""
        return len(self.depths), len(self.kernels), len(self.expansions)

    @property
    def fixed(self) -> bool:
        """Whether it leaves no choice."""
        return self.options == (1, 1, 1)


@dataclass(frozen=True)
class Head:
    """What follows the last unit: a convolution to `width` channels, their means, perhaps a layer, the classifier.

    Attributes:
        width: before the multiplier.
        activation: of the convolution and of the layer.
        feature: channels of the layer over the means (MobileNetV3), before the multiplier; None: there is none.
        feature_bias: whether that layer has a bias of its own.
    """

    width: int
    activation: LayerActivation
    feature: int | None = None
    feature_bias: bool = False

    def __post_init__(self) -> None:
        check_integer("the width of the head", self.width, 1, MAX_WIDTH)
        if self.feature is not None:
            check_integer("the feature width of the head", self.feature, 1, MAX_WIDTH)
        _check_activation("the head", self.activation)
        if not isinstance(self.feature_bias, bool):
            raise ArchitectureError(f"feature_bias of the head is true or false; got {reprlib.repr(self.feature_bias)}")


def from_json(kind: type[T], data: object) -> T:
    """What `dataclasses.asdict` wrote, its tuples as lists.

    Raises:
        BundleError: a field is missing or unknown.
        ArchitectureError: a value breaks a rule.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    what = f"a {kind.__name__.lower()} of a search space"
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise BundleError(f"{what} has the fields {names}; got {reprlib.repr(data)}")
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
    return kind(**values)


def _check_activation(what: str, value: object) -> None:
    if value not in ACTIVATIONS:
        raise ArchitectureError(f"the activation of {what} is one of {ACTIVATIONS}; got {reprlib.repr(value)}")


def _check_ratio(value: float, most: int) -> None:
    if type(value) not in (int, float) or not 1 <= value <= most or round(value, 2) != value:
        raise ArchitectureError(
            f"each of the expansions of a unit is a number from 1 to {most} with two decimals at most; got "
            f"{reprlib.repr(value)}"
        )
