"""A runtime whose networks differ in input size, behind a router of a third."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bundles import SPACE, random_bundle

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.bank import bundle as bundles
from eas_sdk.router.network import load_router
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture

SMALL, LARGE, ROUTER = 24, 32, 40
"""Input sizes, in pixels: of the networks, and of the router. Networks of the smaller one cost 0.27 to 1.35 million
multiply-adds, of the larger one 0.48 to 2.37 million."""


def runtime_of_sizes(folder: Path) -> Runtime:
    """Networks of `SMALL` and `LARGE` pixels behind a router of `ROUTER` pixels; `folder` exists."""
    space = replace(SPACE, input_sizes=(SMALL, LARGE), largest=Architecture(()))
    bundle = eas_sdk.load(random_bundle(folder, space=space, seed=9)).bundle
    router = dict(bundle.router or {})
    router["space"] = router["space"] | {"input_sizes": [ROUTER]}
    bundle = replace(bundle, router=router)
    bundles.check(bundle)
    return Runtime(bundle, load_selector(bundle), router=load_router(bundle))
