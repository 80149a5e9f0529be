"""A diagnosis that is kept in a folder, as `diagnosis.json` and `diagnosis.png`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import write_atomically
from eas_train.diagnosis.measure import Diagnosis
from eas_train.diagnosis.picture import draw
from eas_train.report_file import read_report
from eas_train.study.plots import png

REPORT = "diagnosis.json"
PICTURE = "diagnosis.png"


def kept(folder: Path, fingerprint: str, find: Callable[[], Diagnosis]) -> dict[str, Any]:
    """The report of a diagnosis (see `Diagnosis.to_json`), which is not looked for twice.

    Args:
        fingerprint: of all that the diagnosis depends on.
    """
    path = folder / REPORT
    known = read_report(path)
    if known.get("of") == fingerprint and (folder / PICTURE).is_file():
        return known
    diagnosis = find()
    report = {"of": fingerprint, **diagnosis.to_json()}
    write_atomically(folder / PICTURE, [png(draw(diagnosis))])
    write_atomically(path, [json.dumps(report, indent=1).encode()])
    return report
