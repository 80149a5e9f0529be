"""A phone behind adb, for tests: `FakePhone` copies this file into a folder as an executable program called adb.

Beside the program lie `script.json` (what the phone is and how it fails), `commands.jsonl` (what it was asked), the
folder `phone` (its file system) and the folder `seen` (every network that was run). Of the script's entries

- devices: serial -> state; properties: name -> value; frequencies: core -> kHz; output: of benchmark_model,
- thermal: statuses that `dumpsys` gives one after another, the last for ever; none where the service is missing,
- lost_after: how many commands succeed before the phone is gone; deny: remote programs that are not permitted,
- space_bytes: what a file may take; spoil: whether copied files arrive with other bytes; slow: remote programs that
  hang; exit_status: of benchmark_model; machine: whether the binary is for another processor.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULTS = {
    "devices": {"FAKE0001": "device"},
    "properties": {
        "ro.product.model": "Example 5",
        "ro.soc.model": "EX9000",
        "ro.board.platform": "ex9",
        "ro.build.version.release": "14",
        "ro.product.cpu.abi": "arm64-v8a",
    },
    "frequencies": dict(zip("01234567", [1_803_000] * 4 + [2_253_000] * 2 + [2_850_000] * 2, strict=True)),
    "thermal": [0],
    "output": "",
}


class FakePhone:
    """What a test sees of the phone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.adb = folder, folder / "adb"
        self.adb.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text(encoding='utf-8')}", encoding="utf-8")
        self.adb.chmod(0o755)
        self.script()

    def script(self, **entries: object) -> None:
        """Replace entries of the script."""
        file = self.folder / "script.json"
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else DEFAULTS
        file.write_text(json.dumps({**before, **entries}), encoding="utf-8")

    def commands(self) -> list[list[str]]:
        """What adb was called with; a remote command is split as the phone's shell splits it."""
        file = self.folder / "commands.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    def programs(self) -> list[str]:
        """Names of the remote programs that were run."""
        return [command[1].rpartition("/")[2] for command in self.commands() if command[0] == "shell"]

    def files(self) -> set[str]:
        """Paths of the files and folders on the phone, below its folder for temporary files."""
        root = self.folder / "phone/data/local/tmp"
        return {str(path.relative_to(root)) for path in root.rglob("*")}

    def networks(self) -> list[Path]:
        """Copies of the networks that were run, in order."""
        return sorted((self.folder / "seen").glob("*"))


def main(args: list[str]) -> int:
    script = json.loads((HERE / "script.json").read_text(encoding="utf-8"))
    serial = ""
    if args[0] == "-s":
        serial, args = args[1], args[2:]
    command = args if args[0] != "shell" else ["shell", *shlex.split(" ".join(args[1:]))]
    with (HERE / "commands.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(command) + "\n")
    devices = script["devices"]
    if command[0] == "devices":
        print("List of devices attached", *(f"{name}\t{state}" for name, state in devices.items()), "", sep="\n")
        return 0
    if not serial and len(devices) > 1:
        return fail("error: more than one device/emulator")
    if not devices:
        return fail("adb: no devices/emulators found")
    serial = serial or next(iter(devices))
    count = len((HERE / "commands.jsonl").read_text(encoding="utf-8").splitlines())
    if serial not in devices or count > script.get("lost_after", 10**9):
        return fail(f"error: device '{serial}' not found")
    if devices[serial] == "unauthorized":
        return fail("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set")
    if devices[serial] == "offline":
        return fail("error: device offline")
    return push(script, *command[1:]) if command[0] == "push" else shell(script, command[1:])


def push(script: dict, local: str, remote: str) -> int:
    target, content = on_phone(remote), Path(local).read_bytes()
    if len(content) > script.get("space_bytes", 10**9):
        target.write_bytes(content[: script["space_bytes"]])
        print(f"{local}: 1 file pushed, 0 skipped.")
        return fail(f"adb: error: failed to copy '{local}' to '{remote}': remote No space left on device")
    if not target.parent.is_dir():
        return fail(f"adb: error: failed to copy '{local}' to '{remote}': remote couldn't create file")
    target.write_bytes(content[::-1] if script.get("spoil") else content)
    target.chmod(0o644)
    print(f"{local}: 1 file pushed, 0 skipped. 30.1 MB/s ({len(content)} bytes in 0.002s)")
    return 0


def shell(script: dict, command: list[str]) -> int:
    program, *args = command
    if program in script.get("deny", ()):
        return fail(f"{program}: {args[-1] if args else ''}: Permission denied")
    if program in script.get("slow", ()):
        time.sleep(60)
    if program == "taskset" and int(args[0], 16) > 0:
        program, *args = args[1:]
    paths = [on_phone(arg) for arg in args if arg.startswith("/")]
    if program == "getprop":
        print(*(f"[{name}]: [{value}]" for name, value in script["properties"].items()), sep="\n")
    elif program == "sh":
        pattern = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"
        assert args == ["-c", f"grep -H . {pattern}"], args
        for core, khz in script["frequencies"].items():
            print(f"{pattern.replace('[0-9]*', core)}:{int(khz)}")
    elif program == "dumpsys":
        return thermal(script)
    elif program == "mkdir":
        paths[0].mkdir(parents=True, exist_ok=True)
    elif program == "chmod":
        paths[0].chmod(int(args[0], 8))
    elif program == "sha256sum":
        if not paths[0].is_file():
            return fail(f"sha256sum: {args[0]}: No such file or directory")
        print(hashlib.sha256(paths[0].read_bytes()).hexdigest(), args[0], sep="  ")
    elif program == "rm":
        for path in paths:
            path.unlink(missing_ok=True)
    elif program == "rmdir":
        if any(paths[0].iterdir()):
            return fail(f"rmdir: '{args[0]}': Directory not empty")
        paths[0].rmdir()
    elif program.endswith("/benchmark_model"):
        return benchmark(script, program, args)
    else:
        return fail(f"/system/bin/sh: {program}: inaccessible or not found", 127)
    return 0


def thermal(script: dict) -> int:
    if not script["thermal"]:
        return fail("Can't find service: thermalservice", 0)
    status, *later = script["thermal"]
    (HERE / "script.json").write_text(json.dumps({**script, "thermal": later or [status]}), encoding="utf-8")
    print("IsStatusOverride: false", f"Thermal Status: {status}", "Cached temperatures:", sep="\n")
    return 0


def benchmark(script: dict, program: str, args: list[str]) -> int:
    binary = on_phone(program)
    if not binary.is_file():
        return fail(f"/system/bin/sh: {program}: inaccessible or not found", 127)
    if not binary.stat().st_mode & 0o111:
        return fail(f"/system/bin/sh: {program}: can't execute: Permission denied", 126)
    if script.get("machine"):
        return fail(f"/system/bin/sh: {program}: not executable: 64-bit ELF file", 126)
    if args == ["--help"]:
        return fail(script.get("help", "usage: benchmark_model <flags>"))
    remote = re.sub("^--graph=", "", next(arg for arg in args if arg.startswith("--graph=")))
    if not on_phone(remote).is_file():
        return fail(f"ERROR: Failed to mmap model {remote}\nERROR: Benchmarking failed.")
    seen = HERE / "seen"
    seen.mkdir(exist_ok=True)
    shutil.copy(on_phone(remote), seen / f"{len(list(seen.iterdir())):03}.tflite")
    sys.stderr.write(script["output"])
    return script.get("exit_status", 0)


def on_phone(remote: str) -> Path:
    return HERE / "phone" / remote.lstrip("/")


def fail(message: str, status: int = 1) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
