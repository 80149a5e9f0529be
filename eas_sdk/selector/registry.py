"""The selectors by kind, loaded when asked for."""

from __future__ import annotations

import importlib
import reprlib

from eas_sdk.bank.bundle import Bundle
from eas_sdk.errors import BundleError
from eas_sdk.selector.protocol import Selector

SELECTORS: dict[str, str] = {
    "generator": "eas_sdk.selector.generator:load",
    "menu": "eas_sdk.selector.menu:load",
    "random": "eas_sdk.selector.random:load",
}
"""Kind -> "module:function" of (space, number of superclasses, configuration, tensors) that makes it."""


def load_selector(bundle: Bundle) -> Selector:
    """The selector of a bundle.

    Raises:
        BundleError: the kind is unknown, or its tensors are incomplete.
    """
    kind = bundle.selector.get("kind")
    if not isinstance(kind, str) or kind not in SELECTORS:
        raise BundleError(f"a bundle's selector is of a kind in {sorted(SELECTORS)}; got {reprlib.repr(kind)}")
    module, _, function = SELECTORS[kind].partition(":")
    make = getattr(importlib.import_module(module), function)
    selector: Selector = make(bundle.space, len(bundle.superclasses), bundle.selector, bundle.group("selector"))
    return selector
