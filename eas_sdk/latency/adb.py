"""Phones behind Android's debug bridge: its client `adb`, run as a program, and what its failures mean."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eas_sdk.errors import DeviceError, InputError
from eas_sdk.latency.benchmark_model import excerpt

CORES = ("big", "middle", "little", "all")
"""Kinds of cores; see `affinity_mask`."""

CONNECTION = {
    r"no devices(?:/emulators)? found": "connect a phone by USB (or `adb connect`) with USB debugging switched on",
    r"unauthorized|still authorizing": "unlock the phone and allow USB debugging for this computer",
    r"device offline|still connecting": "reconnect the cable, or run `adb reconnect`",
    r"device (?:'.*' )?not found|error: closed|connect failed: closed|protocol fault|connection reset|response: EOF": (
        "the phone is gone: it restarted, went out of reach, or has another serial; `adb devices` lists those connected"
    ),
    r"cannot connect to daemon|failed to start daemon|failed to check server version": "run `adb start-server`",
}
"""What the client prints when it does not reach a phone -> what to do."""

REFUSAL = {
    r"no space left": "free some space on the phone",
    r"permission denied|read-only file system|operation not permitted": (
        "use a phone that lets its shell write and run files in its folder for temporary files"
    ),
}
"""What a phone prints when it refuses -> what to do."""

FREQUENCIES = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"


@dataclass(frozen=True)
class Properties:
    """What a phone says of itself; "unknown" where it does not.

    Attributes:
        model: the maker's name.
        soc: system on a chip.
        android: release, such as "14".
        abi: of its native programs, such as "arm64-v8a".
    """

    model: str
    soc: str
    android: str
    abi: str


@dataclass(frozen=True)
class Adb:
    """A phone. Every method raises DeviceError when it is not reached, refuses, or takes too long.

    Attributes:
        serial: which phone; None for the only one.
        program: the client, by name or path.
    """

    serial: str | None = None
    program: str = "adb"

    def devices(self) -> dict[str, str]:
        """Serial -> state ("device" where it is ready) of everything connected."""
        status, text = self._run(["devices"], 30)
        if status:
            raise _failure(["devices"], status, text)
        return dict(re.findall(r"^([^\s*]\S*)\t(.+?)\s*$", text, re.MULTILINE))

    def push(self, local: Path, remote: str, *, timeout_s: float = 300) -> None:
        """Copy a file to the phone; what is there is replaced."""
        command = ["push", str(local), remote]
        status, text = self._run(command, timeout_s)
        if status or "error: " in text:  # older clients report a full disk and end with 0
            raise _failure(command, status, text)

    def shell(self, args: Sequence[str], *, timeout_s: float = 30, check: bool = True) -> str:
        """Run a program on the phone and return what it prints, errors included.

        Args:
            args: program and arguments, as they are: the phone's shell expands nothing.
            check: whether an exit status other than 0 is a DeviceError too.
        """
        command = ["shell", shlex.join(args)]
        status, text = self._run(command, timeout_s)
        if status and check:
            raise _failure(command, status, text)
        return text

    def remove(self, *paths: str) -> None:
        """Remove files, if they are there."""
        self.shell(["rm", "-f", *paths])

    def properties(self) -> Properties:
        """Model, processor, release and ABI."""
        known = dict(re.findall(r"^\[(.+?)\]: \[(.+?)\]\s*$", self.shell(["getprop"]), re.MULTILINE))

        def first(*names: str) -> str:
            return next((known[name] for name in names if name in known), "unknown")

        return Properties(
            model=first("ro.product.model"),
            soc=first("ro.soc.model", "ro.board.platform"),
            android=first("ro.build.version.release"),
            abi=first("ro.product.cpu.abi"),
        )

    def core_frequencies(self) -> dict[int, int]:
        """Core -> greatest frequency in kHz, of all cores that are switched on."""
        text = self.shell(["sh", "-c", f"grep -H . {FREQUENCIES}"], check=False)
        return {int(core): int(khz) for core, khz in re.findall(r"/cpu(\d{1,3})/\S+:(\d{1,9})\b", text)}

    def thermal_status(self) -> int | None:
        """Android's 0 (none) to 6 (shutdown); None before Android 10 and where the phone does not say."""
        found = re.search(r"Thermal Status: (\d)\b", self.shell(["dumpsys", "thermalservice"], check=False))
        return int(found[1]) if found else None

    def _run(self, args: Sequence[str], timeout_s: float) -> tuple[int, str]:
        command = [self.program, *(["-s", self.serial] if self.serial else []), *args]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # benchmark_model writes to either, by version
                timeout=timeout_s,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{_shown(args)} ends within {timeout_s:g} s; it was stopped") from None
        except OSError as error:
            raise DeviceError(
                f"phones are reached with Android's platform tools; the program {self.program!r} cannot be run "
                f"({error.strerror}): install them, or give the path of adb"
            ) from error
        if done.returncode:
            self._check_connection(args, done.stdout)
        return done.returncode, done.stdout

    def _check_connection(self, args: Sequence[str], text: str) -> None:
        if re.search(r"more than one (?:device|emulator)", text):
            serials = ", ".join(sorted(self.devices()))
            raise DeviceError(f"one phone is measured at a time; several are connected: choose a serial of {serials}")
        for pattern, advice in CONNECTION.items():
            if re.search(pattern, text, re.IGNORECASE):
                raise DeviceError(f"{_shown(args)} needs a phone that answers; got {excerpt(text)!r}: {advice}")


def affinity_mask(frequencies: Mapping[int, int], cores: str) -> str:
    """The hexadecimal mask, for `taskset`, of a kind of cores.

    Args:
        frequencies: core -> greatest frequency, in kHz.
        cores: "big" are those of the highest frequency, "little" those of the lowest (all, where there is but one),
            "middle" the others.

    Raises:
        InputError: no such kind.
        DeviceError: the phone has none of this kind.
    """
    if cores not in CORES:
        raise InputError(f"cores are one of {CORES}; got {cores!r}")
    speeds = sorted(set(frequencies.values()))
    chosen = {"big": speeds[-1:], "middle": speeds[1:-1], "little": speeds[:1], "all": speeds}[cores]
    mask = sum(1 << core for core, khz in frequencies.items() if khz in chosen)
    if not mask:
        there = f"{len(speeds)} kinds of cores" if speeds else "no frequencies of its cores"
        raise DeviceError(f"{cores!r} cores are told from others by frequency; the phone gives {there}: choose 'all'")
    return f"{mask:x}"


def _shown(args: Sequence[str]) -> str:
    text = " ".join(["adb", *args])
    return f"`{text if len(text) <= 120 else text[:117] + '...'}`"


def _failure(args: Sequence[str], status: int, text: str) -> DeviceError:
    """What a command that failed on the phone means."""
    advice = [advice for pattern, advice in REFUSAL.items() if re.search(pattern, text, re.IGNORECASE)]
    message = f"{_shown(args)} succeeds; got {excerpt(text) or 'no output'!r} (exit status {status})"
    return DeviceError(": ".join([message, *advice[:1]]))
