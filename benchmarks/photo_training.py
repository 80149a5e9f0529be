"""How the photo bank's networks came to agree with the published network, over the hours of its training.

    python -m benchmarks.photo_training RUN            # the folder of a finished `eas train --recipe photos`

Agreement on the validation photos that the training looked at: of the smallest, the middle and the largest network,
among all classes and within the superclass. Hours are of the supernet's steps on the machine that trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.record import record
from eas_train import step_log
from eas_train.supernet.identity import CHECKPOINT
from eas_train.supernet.validation import LOG

SHOWN = ("top1", "within_superclass")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    folder = parser.parse_args().run
    state = torch.load(folder / CHECKPOINT, weights_only=True)
    looks = step_log.read(folder / LOG)
    hours = state["seconds"] / 3600 / state["step"]
    rows = [
        {
            "step": look["step"],
            "hours": round(look["step"] * hours, 2),
            **{
                name: {"madds": member["madds"], **{kind: member[kind] for kind in SHOWN}}
                for name, member in look["members"].items()
            },
        }
        for look in looks
    ]
    record("photo_training", {"steps": state["step"], "rows": rows})


if __name__ == "__main__":
    main()
