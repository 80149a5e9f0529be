"""Engines and exported files on ARM, the processor of phones, against the numpy engine of this machine.

    python -m benchmarks.arm FOLDER                      # or: make arm-test

QEMU emulates a Cortex-A76 that runs Debian's Python with the aarch64 wheels of numpy, LiteRT and onnxruntime; FOLDER
keeps them, and what is exported. Needs a Debian 12 with its package registries (nothing is installed on it). An
emulator tells what is computed, not how long it takes.

- engines: sub-networks of the shipped bundle, cut and run there, for several tasks and budgets.
- files: the same networks, exported here in every precision, run there by the runtimes as a stranger would.

Of each the greatest difference of a probability, and how often the most probable label is the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import eas_sdk
from benchmarks.elsewhere import DEFAULT, FOUND, options_of, pack, summary
from benchmarks.record import record

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
"""Debian 12's, which the wheels are for."""
CPU = "cortex-a76"
PACKAGES = (
    *(f"python{PYTHON}-minimal", f"libpython{PYTHON}-minimal", f"libpython{PYTHON}-stdlib", "libc6", "libgcc-s1"),
    *("libstdc++6", "libgomp1", "libcrypt1", "zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5"),
)
WHEELS = (
    "numpy",
    "ai-edge-litert",
    "onnx",
    "onnxruntime",
    "ml-dtypes",
    "flatbuffers",
    "packaging",
    "protobuf",
    "typing-extensions",
)
TAGS = tuple(f"manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28"))
PROCESSOR = """processor\t: 0
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0b
CPU revision\t: 1
"""
"""What Linux says of a Cortex-A76; without it onnxruntime would read what it says of this machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options_of(parser)
    options = parser.parse_args()
    folder = options.folder.resolve()
    machine = prepare(folder / "machine")
    cases, runtime = folder / "cases", eas_sdk.load(options.bundle)
    count = pack(runtime, options.tasks, options.images, DEFAULT, cases, bundle=options.bundle)
    command = [*machine, "-W", "ignore", "-m", "benchmarks.arm_inside", str(cases)]
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads((cases / FOUND).read_text())
    figures = {kind: {name: summary(rows) for name, rows in found[kind].items()} for kind in ("engines", "files")}
    facts = {"processor": f"{CPU}, emulated", "networks": count, "versions": found["versions"]}
    record("arm", facts | figures)


def prepare(folder: Path) -> list[str]:
    """The emulator with its Python, as the beginning of a command line; what is missing is fetched."""
    system, wheels, tools = folder / "system", folder / "wheels", folder / "tools"
    if not (done := folder / "done").exists():
        for made in (system, wheels, tools, folder / "debs", folder / "apt" / "lists" / "partial"):
            made.mkdir(parents=True, exist_ok=True)
        apt = ["apt-get", "--quiet", "-o", f"Dir::State={folder / 'apt'}", "-o", f"Dir::Cache={folder / 'apt'}"]
        apt += ["-o", f"Dir::State::status={folder / 'apt' / 'status'}", "-o", "Debug::NoLocking=1"]
        (folder / "apt" / "status").touch()
        for architecture, packages, place in (("arm64", PACKAGES, system), ("amd64", ("qemu-user-static",), tools)):
            here = [*apt, "-o", f"APT::Architecture={architecture}", "-o", f"APT::Architectures={architecture}"]
            debs = folder / "debs" / architecture
            debs.mkdir(exist_ok=True)
            subprocess.run([*here, "update"], check=True)
            subprocess.run([*here, "download", *packages], cwd=debs, check=True)
            for deb in debs.glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", deb, place], check=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-deps"]
        pip += ["--python-version", PYTHON, *(f"--platform={tag}" for tag in TAGS), "--dest", str(folder / "debs")]
        pip += ["--constraint", str(ROOT / "constraints.txt"), *WHEELS]
        subprocess.run(pip, check=True)
        for wheel in (folder / "debs").glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(wheels)
        # The emulator looks here first for files that are asked for by their whole path.
        for name, text in (("proc/cpuinfo", PROCESSOR), ("possible", "0\n"), ("present", "0\n")):
            file = system / (name if "/" in name else f"sys/devices/system/cpu/{name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        done.touch()
    libraries = ":".join(str(system / place / "aarch64-linux-gnu") for place in ("usr/lib", "lib"))
    paths = ":".join(map(str, (wheels, ROOT, ROOT / "exporters")))
    emulator = [str(tools / "usr/bin/qemu-aarch64-static"), "-cpu", CPU, "-L", str(system)]
    emulator += ["-E", f"LD_LIBRARY_PATH={libraries}", "-E", f"PYTHONPATH={paths}", "-E", "OMP_NUM_THREADS=1"]
    return [*emulator, str(system / f"usr/bin/python{PYTHON}")]


if __name__ == "__main__":
    main()
