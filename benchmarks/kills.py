"""Trainings that are killed at random moments of all stages, go on, and come to what an unbroken one comes to.

    python -m benchmarks.kills PHOTOS FOLDER                       # a folder of photos, and where the trainings go

`eas train --data PHOTOS` is run once, and then again and again with kill -9 after a random time, each time going on
where it was, until it ends; then a new one begins, until there were `--kills` of them. Counted are the kills by the
stage that they hit, and the trainings whose bundle is, byte for byte, that of the unbroken one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.record import record
from eas_sdk.bank.shipped import OF_A_TRAINING

STAGES = (
    ("report.html", "after the end"),
    (OF_A_TRAINING, "report"),
    ("selector.pt", "router and bundle"),
    ("measured.json", "selector"),
    ("statistics.pt", "predictor"),
    ("supernet.pt", "supernet and statistics"),
    ("run.json", "first steps"),
)
"""File that is there -> what is being done, the last first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path, help="is emptied")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--option", action="append", default=[], help="of eas train, such as --option=--from=BUNDLE")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    started = time.monotonic()
    if train(options, "whole").wait():
        sys.exit("the unbroken training failed: see whole.log in the folder")
    whole_s = time.monotonic() - started
    expected = (options.folder / "whole" / OF_A_TRAINING).read_bytes()
    rng, hit, equal, trainings = random.Random(options.seed), Counter[str](), 0, 0
    while hit.total() < options.kills:
        name = f"killed-{trainings}"
        folder = options.folder / name
        while True:
            process = train(options, name)
            try:
                code = process.wait(rng.uniform(0, whole_s) if hit.total() < options.kills else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                stage = next((stage for file, stage in STAGES if (folder / file).exists()), "before anything is kept")
                hit[stage] += 1
                print(f"killed {hit.total()}: {stage}", flush=True)
                continue
            if code:
                sys.exit(f"a training did not go on: see {name}.log in the folder")
            break
        trainings += 1
        equal += (folder / OF_A_TRAINING).read_bytes() == expected
        shutil.rmtree(folder)
    record(
        "kills",
        {
            "kills": hit.total(),
            "by_stage": dict(hit),
            "trainings": trainings,
            "equal_to_the_unbroken_one": equal,
            "unbroken_s": round(whole_s, 1),
        },
    )


def train(options: argparse.Namespace, name: str) -> subprocess.Popen[bytes]:
    """`eas train`, in a process group of its own, into a folder of that name; what it says goes to a log beside it."""
    command = [sys.executable, "-m", "eas_sdk.cli", "train", "--data", options.photos, "--name", "killed"]
    command += ["--out", options.folder / name, "--threads", "1", *options.option]
    with (options.folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    main()
