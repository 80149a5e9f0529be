"""`eas diagnose`: the diagnosis of a training's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from eas_sdk.bank.atomic import write_atomically
from eas_train.diagnosis.report import PICTURE
from eas_train.run_folder import Run
from eas_train.threads import computing_on


def diagnose_run(
    folder: Path, device: torch.device, *, most_images: int = 2000, picture: Path | None = None
) -> dict[str, Any]:
    """Diagnose the finished supernet of an `eas train`; see `Training.diagnose`.

    Args:
        picture: where a copy of the picture goes.

    Raises:
        TrainingError: the folder holds no training, or its supernet is not finished.
        DataError: the images that it was trained on are not where they were.
    """
    with computing_on():
        report = Run.read(folder).training(folder, device).diagnose(most_images=most_images)
    if picture is not None:
        write_atomically(picture, [(folder / PICTURE).read_bytes()])
    return report
