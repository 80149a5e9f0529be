"""Measuring on a phone, against a program that behaves as adb does and files that are real."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import images, make_graph, mobilenet
from latency.fake_adb import FakePhone
from latency.outputs import LOGCAT, NEWER, NO_MODEL

from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.errors import DeviceError, InputError
from eas_sdk.graph.nodes import INPUT, GlobalMean, Normalize
from eas_sdk.latency.adb import Adb
from eas_sdk.latency.meter import Conditions, Timing
from eas_sdk.latency.phone import PhoneMeter

GRAPH = make_graph(mobilenet(16))
CONTENT = b"\x7fELF of a benchmark_model"


@pytest.fixture
def phone(tmp_path: Path) -> FakePhone:
    made = FakePhone(tmp_path / "fake")
    made.script(output=NEWER)
    return made


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    file = tmp_path / "android_aarch64_benchmark_model"
    file.write_bytes(CONTENT)
    return file


def meter(phone: FakePhone, binary: Path, threads: int = 1, precision: str = "float32", **more: object) -> PhoneMeter:
    return PhoneMeter(Adb(program=str(phone.adb)), binary, threads, precision, **{"poll_s": 0.01, **more})


def runs(phone: FakePhone) -> list[list[str]]:
    """The commands that ran a network."""
    return [c[1:] for c in phone.commands() if any(arg.startswith("--graph=") for arg in c)]


def test_a_network_is_measured_under_stated_conditions(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary, 2, run_delay_s=0.033) as measuring:
        assert measuring.measure(GRAPH) == Timing(9.795, pytest.approx(0.05105, rel=1e-3), 102)
        assert measuring.conditions == Conditions(
            device="Example 5",
            soc="EX9000",
            engine="benchmark_model",
            threads=2,
            precision="float32",
            runtime_version="unknown",
            binary_sha256=hashlib.sha256(CONTENT).hexdigest(),
            affinity="c0",
            pause_ms=33.0,
        )
    ((taskset, mask, program, *flags),) = runs(phone)
    assert (taskset, mask, program) == ("taskset", "c0", "/data/local/tmp/eas_sdk/benchmark_model")
    assert {"--num_threads=2", "--warmup_runs=10", "--num_runs=50", "--use_xnnpack=true", "--run_delay=0.033"} < {
        *flags
    }


def test_all_cores_need_no_mask(phone: FakePhone, binary: Path) -> None:
    phone.script(frequencies={})
    with meter(phone, binary, cores="all") as measuring:
        measuring.measure(GRAPH)
        assert measuring.conditions.affinity == ""
    assert "taskset" not in phone.programs()


def test_the_binary_states_its_version(phone: FakePhone, binary: Path) -> None:
    phone.script(help="benchmark_model of LiteRT version 2.1.0\nusage: ...")
    with meter(phone, binary) as measuring:
        assert measuring.conditions.runtime_version == "2.1.0"


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic", "int8"])
def test_the_file_on_the_phone_is_the_network(phone: FakePhone, binary: Path, precision: str) -> None:
    pytest.importorskip("ai_edge_litert")
    from eas_exporters.tflite.interpreter import Interpreter

    with meter(phone, binary, precision=precision) as measuring:
        measuring.measure(GRAPH)
    (file,) = phone.networks()
    batch = images(16, 4)
    expected = NumpyEngine().compile(GRAPH).run(batch)
    found = Interpreter(file, signature="serving_default").run(batch)
    assert (
        np.abs(found - expected).max() < {"float32": 1e-4, "float16": 1e-2}.get(precision, 0.3) * np.abs(expected).max()
    )


def test_networks_that_read_feature_maps_are_measured(phone: FakePhone, binary: Path) -> None:
    part = make_graph([Normalize("n", (INPUT,), 6, 40), GlobalMean("mean", ("n",), 6, 40)])
    with meter(phone, binary) as measuring:
        assert measuring.measure(part).count == 102


def test_the_binary_is_copied_once_and_what_was_copied_is_removed(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as first:
        first.measure(GRAPH)
        first.measure(make_graph(mobilenet(16), seed=1))
        assert phone.files() == {"eas_sdk", "eas_sdk/benchmark_model"}
        with meter(phone, binary) as second:
            second.measure(GRAPH)
        assert phone.files() == {"eas_sdk", "eas_sdk/benchmark_model"}
    assert phone.files() == set()
    assert [Path(c[1]).name for c in phone.commands() if c[0] == "push"].count(binary.name) == 1
    names = [next(arg for arg in run if arg.startswith("--graph=")) for run in runs(phone)]
    assert names[0] == names[2] != names[1]


def test_another_binary_replaces_the_one_that_is_there(phone: FakePhone, binary: Path) -> None:
    stale = phone.folder / "phone/data/local/tmp/eas_sdk/benchmark_model"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"another build")
    with meter(phone, binary):
        assert stale.read_bytes() == CONTENT
        assert stale.stat().st_mode & 0o777 == 0o755


def test_a_hot_phone_is_waited_for(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as measuring:
        phone.script(thermal=[3, 2, 1, 0])
        assert measuring.measure(GRAPH).count == 102
    assert len(runs(phone)) == 1
    before = phone.programs()[: phone.programs().index("taskset")]
    assert before.count("dumpsys") == 3


def test_a_run_that_ended_hot_is_repeated_when_cool(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as measuring:
        phone.script(thermal=[0, 2, 2, 1, 1])
        assert measuring.measure(GRAPH).count == 102
    assert [p for p in phone.programs() if p in ("dumpsys", "taskset")] == [
        "dumpsys",
        "taskset",
        *["dumpsys"] * 3,
        "taskset",
        "dumpsys",
    ]


def test_runs_that_keep_ending_hot_are_given_up(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as measuring:
        phone.script(thermal=[0, 2] * 5)
        with pytest.raises(DeviceError, match="at most 1; 3 ended hotter"):
            measuring.measure(GRAPH)
    assert len(runs(phone)) == 3


def test_a_phone_that_stays_hot_is_given_up(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary, hottest=2, cool_down_s=0.05) as measuring:
        phone.script(thermal=[4])
        with pytest.raises(DeviceError, match=r"at most 2; it is 4 after 0.05 s"):
            measuring.measure(GRAPH)
    assert runs(phone) == []


def test_a_phone_without_thermal_service_is_measured(phone: FakePhone, binary: Path) -> None:
    phone.script(thermal=[])
    with meter(phone, binary) as measuring:
        assert measuring.measure(GRAPH).count == 102


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ({"output": LOGCAT}, "says 'partially'"),
        ({"output": NEWER.replace("Explicitly applied", "Perhaps")}, "says 'unknown'"),
        ({"output": NO_MODEL, "exit_status": 1}, r"Failed to mmap model .*exit status 1"),
        ({"output": NO_MODEL}, "reports no error"),
        ({"output": NEWER[:900], "exit_status": 255}, "exit status 255"),
        ({"output": "\x00\ufffd garbage"}, "garbage"),
        ({"output": NEWER[:-400]}, "Inference timings in us"),
        ({"space_bytes": 1000}, r"No space left.*free some space"),
    ],
)
def test_a_failing_measurement_is_told_and_leaves_no_network(
    phone: FakePhone, binary: Path, script: dict[str, object], told: str
) -> None:
    with meter(phone, binary) as measuring:
        phone.script(**script)
        with pytest.raises(DeviceError, match=told):
            measuring.measure(GRAPH)
        assert phone.files() == {"eas_sdk", "eas_sdk/benchmark_model"}
        phone.script(output=NEWER, exit_status=0, space_bytes=10**9)
        assert measuring.measure(GRAPH).count == 102


def test_cleaning_up_hides_no_error_and_raises_none(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as measuring:
        phone.script(deny=["rm"])
        assert measuring.measure(GRAPH).count == 102
        phone.script(output="garbage")
        with pytest.raises(DeviceError, match="garbage"):
            measuring.measure(GRAPH)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ({"deny": ["chmod"]}, r"chmod.*Permission denied"),
        ({"deny": ["mkdir"]}, r"mkdir.*Permission denied"),
        ({"space_bytes": 10}, "No space left"),
        ({"spoil": True}, "SHA-256"),
        ({"devices": {"FAKE0001": "unauthorized"}}, "allow USB debugging"),
        ({"devices": {"FAKE0001": "device", "FAKE0002": "device"}}, "choose a serial of FAKE0001, FAKE0002"),
        ({"frequencies": {}}, r"no frequencies.*'all'"),
    ],
)
def test_a_phone_that_cannot_be_prepared_is_told_and_left_clean(
    phone: FakePhone, binary: Path, script: dict[str, object], told: str
) -> None:
    phone.script(**script)
    with pytest.raises(DeviceError, match=told):
        meter(phone, binary)
    assert phone.files() <= {"eas_sdk"}


@pytest.mark.parametrize("lost_after", range(12))
def test_a_phone_lost_at_any_moment_is_told_as_such(phone: FakePhone, binary: Path, lost_after: int) -> None:
    def measurement() -> None:
        with meter(phone, binary) as measuring:
            measuring.measure(GRAPH)

    phone.script(lost_after=lost_after)
    with pytest.raises(DeviceError, match="the phone is gone"):
        measurement()


def test_a_binary_that_vanished_or_is_for_another_processor_is_told(phone: FakePhone, binary: Path) -> None:
    with meter(phone, binary) as measuring:
        phone.script(machine=True)
        with pytest.raises(DeviceError, match="not executable: 64-bit ELF file"):
            measuring.measure(GRAPH)
        (phone.folder / "phone/data/local/tmp/eas_sdk/benchmark_model").unlink()
        with pytest.raises(DeviceError, match="inaccessible or not found"):
            measuring.measure(GRAPH)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": 3}, "3 threads for the 2 big cores"),
        ({"precision": "palettized"}, "precision"),
        ({"cores": "huge"}, "'huge'"),
        ({"runs": 0}, "at least 1"),
        ({"warmup_runs": 0}, "at least 1"),
        ({"run_delay_s": float("nan")}, "finite"),
        ({"hottest": 7}, "0 to 6"),
    ],
)
def test_arguments_are_checked_before_anything_is_copied(
    phone: FakePhone, binary: Path, arguments: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        meter(phone, binary, **arguments)
    assert {"mkdir", "push"}.isdisjoint([c[0] for c in phone.commands()] + phone.programs())


def test_a_binary_that_is_not_there_is_refused(phone: FakePhone, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benchmark_model built for the phone"):
        meter(phone, tmp_path)
