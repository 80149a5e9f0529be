"""A runtime whose networks differ in input size, made of a bundle of one size: weights do not depend on it.

A stand-in for bundles whose space has several sizes itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.graph.nodes import Node
from eas_sdk.router.network import load_router
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace

SMALL, LARGE, ROUTER = 24, SPACE.input_size, 40
"""Input sizes, in pixels: of networks of few blocks, of the others, of the router."""

FEW = 13
"""Blocks of a network that takes small images, at most; networks have 10 to 20."""


@dataclass(frozen=True)
class SpaceOfSizes(ElasticSpace):
    """The space of the random bundles, where networks of few blocks take smaller images."""

    def structure(self, architecture: Architecture, classes: int) -> tuple[Node, ...]:
        """See `Space.structure`."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if len(list(architecture.blocks)) <= FEW:
            given["input_size"] = SMALL
        return ElasticSpace(**given).structure(architecture, classes)


def runtime_of_sizes(folder: Path) -> Runtime:
    """Networks of `SMALL` and `LARGE` pixels behind a router of `ROUTER` pixels; `folder` exists."""
    bundle = eas_sdk.load(random_bundle(folder)).bundle
    router = dict(bundle.router or {})
    router["space"] = router["space"] | {"input_size": ROUTER}
    given = {field.name: getattr(SPACE, field.name) for field in fields(SPACE)}
    bundle = replace(bundle, space=SpaceOfSizes(**given), router=router)
    return Runtime(bundle, load_selector(bundle), router=load_router(bundle))
