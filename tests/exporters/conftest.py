"""What the tests of several formats need."""

from __future__ import annotations

import numpy as np
import pytest

import eas_sdk
from eas_sdk.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return eas_sdk.load("emoji").specialize("birds", "4M")


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    pytest.importorskip("PIL")
    from eas_sdk.cli.drawings import load_drawings

    return load_drawings(eas_sdk.load("emoji"), None, ["birds"])[0].images[:6]
