"""Many large photos: how long they are checked, and how long a training takes to its first step; memory on the way.

    python -m benchmarks.many_photos                # 5,000 photos of 12 megapixels, about 10 GB in a temporary folder

A few pictures are encoded once; every file is one of them with a comment of its own, so that no two files are equal.
One file is cut: a check and a training have to find it. Then it is whole again, and `eas train --data` runs until its
first step is done, as a process that remembers nothing. Memory is the proportional set size of it and its workers.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photo_feed import family, proportional_bytes
from benchmarks.record import record
from eas_train.before.page import PAGE as DATA_PAGE
from eas_train.progress import progress
from eas_train.report.live import PAGE as LIVE_PAGE

SIZE = (4000, 3000)
QUALITY = 88
NOISE = 4.0
"""Of a sensor, in grey values."""
CLASSES = 20
LOOK_S = 0.2
"""Between looks at memory and files."""
COMMENT = 60_000
"""Bytes at most, so that lengths of files differ as those of photos do."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--distinct", type=int, default=40)
    parser.add_argument("--option", action="append", default=[], help="of eas train, such as --option=--from=BUNDLE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        total = write_photos(root / "photos", options.photos, options.distinct)
        damaged = sorted((root / "photos").rglob("*.jpg"))[options.photos // 2]
        content = damaged.read_bytes()
        damaged.write_bytes(content[: len(content) // 2])
        checks = {name: check(root, damaged) for name in ("first", "again")}
        refused_s = refuse(root, damaged, options.option)
        damaged.write_bytes(content)
        begun = train(root, options.option)
    record(
        "many_photos",
        {
            "photos": options.photos,
            "megapixels": SIZE[0] * SIZE[1] / 1e6,
            "mean_bytes": round(total / options.photos),
            "check_s": checks,
            "refused_s": refused_s,
            **begun,
        },
    )


def write_photos(folder: Path, count: int, distinct: int) -> int:
    """JPEG files in class folders; their bytes together."""
    rng = np.random.default_rng(0)
    with progress("pictures", distinct) as update:
        encoded = []
        for i in range(distinct):
            encoded.append(picture(i))
            update(i + 1, "")
    total = 0
    with progress("files", count) as update:
        for i in range(count):
            place = folder / f"class {i % CLASSES:02}"
            place.mkdir(parents=True, exist_ok=True)
            comment = rng.bytes(int(rng.integers(1, COMMENT)))
            start, rest = encoded[i % distinct][:2], encoded[i % distinct][2:]
            segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            total += (place / f"{i:05}.jpg").write_bytes(start + segment + rest)
            update(i + 1, "")
    return total


def picture(seed: int) -> bytes:
    """A JPEG with shapes of all sizes and a sensor's noise, as photos have them."""
    rng, whole = np.random.default_rng(seed), np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    for cells in (4, 16, 64, 256, 1024):
        shapes = Image.fromarray(rng.integers(0, 256, (cells * 3 // 4, cells, 3), np.uint8))
        whole += np.asarray(shapes.resize(SIZE, Image.Resampling.BICUBIC), np.float32) / cells**0.5
    whole *= 255 / whole.max()
    whole += rng.standard_normal(whole.shape[:2], np.float32)[..., None] * NOISE
    content = io.BytesIO()
    Image.fromarray(whole.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def check(root: Path, damaged: Path) -> float:
    """Seconds of `eas check`, which has to find the one file."""
    began = time.monotonic()
    done = eas(root, "remembered", "check", root / "photos")
    said, _ = done.communicate()
    if done.returncode != 1 or damaged.name not in said:
        sys.exit(f"the check did not find {damaged.name}: {said}")
    return round(time.monotonic() - began, 1)


def refuse(root: Path, damaged: Path, extra: list[str]) -> float:
    """Seconds until `eas train` refuses to begin with the one file."""
    began = time.monotonic()
    done = eas(root, "refused", "train", "--data", root / "photos", "--out", root / "refused out", *extra)
    said, _ = done.communicate()
    if done.returncode != 2 or damaged.name not in said:
        sys.exit(f"the training did not refuse {damaged.name}: {said}")
    return round(time.monotonic() - began, 1)


def train(root: Path, extra: list[str]) -> dict[str, Any]:
    """`eas train` until its first step is done: seconds to its page of data and to the step, and peak memory."""
    out, began, seen = root / "run", time.monotonic(), 0
    process = eas(root, "trained", "train", "--data", root / "photos", "--out", out, *extra, log=root / "log")
    times: dict[str, float] = {}
    while len(times) < 2:
        if process.poll() is not None:
            sys.exit(f"the training ended: {(root / 'log').read_text()}")
        for name, page in (("data_page_s", DATA_PAGE), ("first_step_s", LIVE_PAGE)):
            if name not in times and (out / page).exists():
                times[name] = round(time.monotonic() - began, 1)
        seen = max(seen, sum(map(proportional_bytes, family(process.pid))))
        time.sleep(LOOK_S)
    process.terminate()  # after its step
    process.wait()
    return {**times, "peak_mib": seen // 2**20}


def eas(root: Path, cache: str, *arguments: object, log: Path | None = None) -> subprocess.Popen[str]:
    """A process of the command line, which remembers what it looked at in a folder of that name."""
    environment = os.environ | {"EAS_CACHE_DIR": str(root / cache)}
    output: Any = subprocess.PIPE if log is None else log.open("w")
    command = [sys.executable, "-m", "eas_sdk.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment)


if __name__ == "__main__":
    main()
