"""Exported files in the programs that apps and servers read them with, of several ages.

    python -m benchmarks.clients FOLDER [--only NAME]

Networks of several tasks and budgets are exported in every precision and run by each client of `CLIENTS`, which gets an
environment of its own below FOLDER (from the package index; a few minutes, about 1 GB). Needs a Python 3.11, for which
all of them were published. Of each kind of file: whether the client reads it, into how many pieces XNNPACK takes it
apart, and how far the answers are from this machine's numpy engine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import venv
from pathlib import Path

import eas_sdk
from benchmarks.elsewhere import DEFAULT, FOUND, Kind, options_of, pack, summary
from benchmarks.record import record

PHONE = Kind("ONNX float32, NCHW, batch 1", ".onnx", {"layout": "NCHW", "batch": 1, "input": "float32"})
CLIENTS = {
    "LiteRT 1.4.0": ("ai-edge-litert==1.4.0", "numpy==2.4.6"),
    "LiteRT 2.1.6": ("ai-edge-litert==2.1.6", "numpy==2.4.6"),
    "LiteRT 2.3.0": ("ai-edge-litert==2.3.0", "numpy==2.4.6"),
    "tflite-runtime 2.14.0": ("tflite-runtime==2.14.0", "numpy==1.26.4"),
    "MediaPipe 0.10.35": ("mediapipe==0.10.35", "numpy==2.4.6"),
    "onnxruntime 1.16.3": ("onnxruntime==1.16.3", "numpy==1.26.4"),
    "onnxruntime 1.32.0": ("onnxruntime==1.32.0", "numpy==2.4.6"),
    "OpenVINO 2026.4.1": ("openvino==2026.4.1", "numpy==2.4.6"),
    "OpenCV 5.0.0": ("opencv-python-headless==5.0.0.93", "numpy==2.4.6"),
}
INSIDE = Path(__file__).with_name("clients_inside.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options_of(parser)
    parser.add_argument("--only", choices=CLIENTS, help="print what this client answers, and store nothing")
    options = parser.parse_args()
    cases = options.folder.resolve() / "cases"
    count = pack(eas_sdk.load(options.bundle), options.tasks, options.images, (*DEFAULT, PHONE), cases)
    found = {}
    for name, packages in CLIENTS.items():
        if options.only not in (None, name):
            continue
        python = environment(options.folder.resolve() / name.replace(" ", "-"), packages)
        subprocess.run([python, INSIDE, name.partition(" ")[0], cases], check=True)
        rows = json.loads((cases / FOUND).read_text())
        found[name] = {kind: facts(each) for kind, each in rows.items()}
        print(json.dumps({name: found[name]}, indent=1), flush=True)
    if options.only is None:
        record("clients", {"networks": count, "images": options.images, "clients": found})


def environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The Python of an environment that holds the packages."""
    python = folder / "bin" / "python"
    if not (done := folder / "done").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages], check=True)
        done.touch()
    return python


def facts(rows: list[dict[str, object]]) -> dict[str, object]:
    """Of one kind of file, over all networks."""
    refused = [row["refused"] for row in rows if "refused" in row]
    if refused:
        return {"refused": len(refused), "because": refused[0]}
    return summary(rows) | {"pieces": max((row["pieces"] for row in rows if "pieces" in row), default=None)}  # type: ignore[type-var]


if __name__ == "__main__":
    main()
