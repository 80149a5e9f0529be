"""The spaces that have names."""

from __future__ import annotations

from eas_sdk.space.elastic.space import PAPER, SMALL
from eas_sdk.space.protocol import Space

PRESETS: dict[str, Space] = {"paper": PAPER, "small": SMALL}
"""Name in a recipe -> space."""
