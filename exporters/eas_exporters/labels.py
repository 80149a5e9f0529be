"""Labels as the lines of a text, as clients of exported files read them."""

from __future__ import annotations

from collections.abc import Sequence


def lines(labels: Sequence[str]) -> str:
    """One label a line, in order; what would begin another line inside a label is a space."""
    return "\n".join(" ".join(label.splitlines()).strip() or "-" for label in labels)
