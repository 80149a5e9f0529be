"""The latency of networks on a phone: .tflite files, run by the `benchmark_model` that the user brings."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np

from eas_sdk.engine.checks import check_threads
from eas_sdk.errors import DeviceError, InputError
from eas_sdk.export import SIGNATURE, Options, load_exporter
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.adb import Adb, affinity_mask
from eas_sdk.latency.benchmark_model import parse, version
from eas_sdk.latency.meter import Conditions, Timing

FOLDER = "/data/local/tmp/eas_sdk"
"""On the phone: where its shell may write and run files."""

REPEATS = 2
"""How often a run that ended too hot is repeated."""

RUN_TIMEOUT_S = 600
"""benchmark_model itself ends warm-up and measurement after 150 s each."""


class PhoneMeter:
    """Measures networks on a phone (see `Meter`). Leaving its context removes what it copied there.

    Args:
        adb: the phone.
        binary: benchmark_model for the phone, on this computer.
        threads: for one inference.
        precision: of the files: "float32", "float16", "dynamic" or "int8". Speed does not depend on values, so int8 is
            calibrated on noise.
        cores: which of them it may run on; see `affinity_mask`.
        warmup_runs: least inferences before those that are measured.
        runs: least measured inferences.
        run_delay_s: pause between inferences; one camera frame's worth is nearer to an application than none.
        hottest: greatest thermal status at which a measurement counts, of Android's 0 (none) to 6 (shutdown).
        cool_down_s: how long to wait for it.
        poll_s: how often to ask meanwhile.

    Raises:
        InputError: an argument is not one of those above, or more threads than cores.
        DeviceError: the phone is not reached, refuses, or has no such cores.
    """

    def __init__(
        self,
        adb: Adb,
        binary: str | os.PathLike[str],
        threads: int,
        precision: str,
        *,
        cores: str = "big",
        warmup_runs: int = 10,
        runs: int = 50,
        run_delay_s: float = 0.0,
        hottest: int = 1,
        cool_down_s: float = 120.0,
        poll_s: float = 5.0,
    ) -> None:
        check_threads(threads)
        self._exporter = load_exporter(".tflite")
        if precision not in self._exporter.precisions:
            raise InputError(f"the precision is one of {self._exporter.precisions}; got {precision!r}")
        if min(warmup_runs, runs) < 1 or not (0 <= run_delay_s < math.inf and 0 <= hottest <= 6):
            raise InputError(
                "warm-up runs and runs are at least 1, the delay between them is finite and the thermal status 0 to 6; "
                f"got {warmup_runs}, {runs}, {run_delay_s} and {hottest}"
            )
        if not Path(binary).is_file():
            raise InputError(f"the binary is the file of a benchmark_model built for the phone; got {str(binary)!r}")
        self._adb, self._hottest, self._cool_down_s, self._poll_s = adb, hottest, cool_down_s, poll_s
        properties = adb.properties()
        affinity = _affinity(adb, cores, threads)
        self._program = f"{FOLDER}/benchmark_model"
        self._command = [
            *(["taskset", affinity] if affinity else []),
            self._program,
            f"--num_threads={threads}",
            f"--warmup_runs={warmup_runs}",
            f"--num_runs={runs}",
            "--use_xnnpack=true",
            *([f"--run_delay={run_delay_s:g}"] if run_delay_s else []),
        ]
        digest = _sha256(Path(binary))
        self._pushed = False
        try:
            self._install(Path(binary), digest)
            stated = version(adb.shell([self._program, "--help"], check=False))
        except BaseException:
            self.close()
            raise
        self._conditions = Conditions(
            device=properties.model,
            soc=properties.soc,
            engine="benchmark_model",
            threads=threads,
            precision=precision,
            runtime_version=stated,
            binary_sha256=digest,
            affinity=affinity,
            pause_ms=1e3 * run_delay_s,
        )

    @property
    def conditions(self) -> Conditions:
        """See `Meter.conditions`."""
        return self._conditions

    def measure(self, graph: Graph, *, part: bool = False) -> Timing:
        """See `Meter.measure`; `part` is ignored: benchmark_model runs a network over and over.

        Raises:
            InputError: the graph contradicts itself, or cannot be written in this precision.
            DeviceError: the phone is gone, refuses, stays too hot, or answers what cannot be read; or XNNPACK did not
                execute the whole network.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.tflite"
            self._exporter.write({SIGNATURE: graph}, file, self._options(graph))
            remote = f"{FOLDER}/{_sha256(file)[:16]}.tflite"
            try:
                self._adb.push(file, remote)
                return self._cool_timing(remote)
            finally:
                with contextlib.suppress(DeviceError):  # what went wrong before says more
                    self._adb.remove(remote)

    def close(self) -> None:
        """Remove from the phone what was copied there, as far as it lets us."""
        if self._pushed:
            self._pushed = False
            with contextlib.suppress(DeviceError):
                self._adb.remove(self._program)
                self._adb.shell(["rmdir", FOLDER])  # fails, as it must, where others' files are left

    def __enter__(self) -> PhoneMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self, binary: Path, digest: str) -> None:
        self._adb.shell(["mkdir", "-p", FOLDER])
        if self._digest_on_phone() != digest:
            self._pushed = True
            self._adb.push(binary, self._program)
            if (found := self._digest_on_phone()) != digest:
                raise DeviceError(f"a copy has the SHA-256 of the original, {digest}; the phone's is {found or 'none'}")
        self._adb.shell(["chmod", "755", self._program])

    def _digest_on_phone(self) -> str:
        found = re.search(r"\b[0-9a-f]{64}\b", self._adb.shell(["sha256sum", self._program], check=False))
        return found[0] if found else ""

    def _cool_timing(self, remote: str) -> Timing:
        for _ in range(1 + REPEATS):
            self._wait_until_cool()
            text = self._adb.shell([*self._command, f"--graph={remote}"], timeout_s=RUN_TIMEOUT_S)
            run = parse(text)
            if run.delegated != "completely":
                raise DeviceError(
                    "a network is measured where XNNPACK executes it completely; benchmark_model says "
                    f"{run.delegated!r}: try a newer build of it, or another precision"
                )
            if not self._is_hot(self._adb.thermal_status()):
                return Timing(run.median_ms, run.spread_ms, run.count)
        raise DeviceError(
            f"a measurement ends at a thermal status of at most {self._hottest}; {1 + REPEATS} ended hotter: "
            "measure fewer runs, with a delay between them, or cool the phone"
        )

    def _wait_until_cool(self) -> None:
        deadline = time.monotonic() + self._cool_down_s
        while self._is_hot(status := self._adb.thermal_status()):
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeviceError(
                    f"a measurement starts at a thermal status of at most {self._hottest}; it is {status} after "
                    f"{self._cool_down_s:g} s of waiting: let the phone cool, or allow a longer wait"
                )
            time.sleep(min(self._poll_s, left))

    def _is_hot(self, status: int | None) -> bool:
        return status is not None and status > self._hottest

    def _options(self, graph: Graph) -> Options:
        noise = np.random.default_rng(0).integers(0, 256, (1, *graph.input_shape), np.uint8)
        return Options(self._conditions.precision, "float32", "logits", noise, "measured by eas_sdk", ())


def _affinity(adb: Adb, cores: str, threads: int) -> str:
    """The mask; "" for all cores, which needs no knowledge of them."""
    if cores == "all":
        return ""
    mask = affinity_mask(adb.core_frequencies(), cores)
    if (count := int(mask, 16).bit_count()) < threads:
        raise InputError(
            f"threads need a core each; got {threads} threads for the {count} {cores} cores of this phone: "
            "choose fewer threads, or cores='all'"
        )
    return mask


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
