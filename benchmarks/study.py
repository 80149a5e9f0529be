"""Stores the figures of a finished study, and its pictures for the documentation.

eas study emoji --jobs 2
python -m benchmarks.study studies/emoji --pictures docs/study
eas study emoji-dropout --jobs 2 --out studies/emoji        # shares its supernets
python -m benchmarks.study studies/emoji --name study_dropout
eas study strategies --jobs 2
python -m benchmarks.study studies/strategies --name strategies --pictures docs/strategies
eas study strategies-ablations --jobs 2 --out studies/strategies
python -m benchmarks.study studies/strategies --name strategies_ablations
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.record import record
from eas_sdk.bank.atomic import write_atomically
from eas_train.study.command import RESULTS
from eas_train.study.plots import draw_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the study")
    parser.add_argument("--name", default="study", help="name of the stored result")
    parser.add_argument("--pictures", type=Path, help="folder of the pictures (default: none are drawn)")
    options = parser.parse_args()
    figures: dict[str, Any] = json.loads((options.folder / RESULTS).read_text())
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for name, (_, png) in draw_all(figures).items():
            write_atomically(options.pictures / f"{name}.png", [png])
    record(options.name, figures)


if __name__ == "__main__":
    main()
