"""Reports beside a training: JSON files that can be made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_report(path: Path) -> dict[str, Any]:
    """The report that was written there before; empty where there is none, or it cannot be read."""
    try:
        report = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}
