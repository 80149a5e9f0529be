"""The debug bridge, against a program that behaves as adb does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latency.fake_adb import FakePhone

from eas_sdk.errors import DeviceError, InputError
from eas_sdk.latency.adb import Adb, Properties, affinity_mask

FREQUENCIES = {**dict.fromkeys(range(4), 1803000), 4: 2253000, 5: 2253000, 6: 2850000, 7: 2850000}


@pytest.fixture
def phone(tmp_path: Path) -> FakePhone:
    return FakePhone(tmp_path / "fake")


@pytest.fixture
def adb(phone: FakePhone) -> Adb:
    return Adb(program=str(phone.adb))


def test_a_phone_says_what_it_is(phone: FakePhone, adb: Adb) -> None:
    assert adb.devices() == {"FAKE0001": "device"}
    assert adb.properties() == Properties("Example 5", "EX9000", "14", "arm64-v8a")
    assert adb.core_frequencies() == FREQUENCIES
    phone.script(properties={"ro.board.platform": "ex9", "ro.product.model": ""})
    assert adb.properties() == Properties("unknown", "ex9", "unknown", "unknown")


def test_the_thermal_status_is_none_before_android_10(phone: FakePhone, adb: Adb) -> None:
    phone.script(thermal=[3, 0])
    assert [adb.thermal_status(), adb.thermal_status()] == [3, 0]
    phone.script(thermal=[])
    assert adb.thermal_status() is None


def test_files_are_copied_and_removed(phone: FakePhone, adb: Adb, tmp_path: Path) -> None:
    file = tmp_path / "a file's name"
    file.write_bytes(b"\0content")
    adb.shell(["mkdir", "-p", "/data/local/tmp/a folder"])
    adb.push(file, "/data/local/tmp/a folder/it's")
    assert (phone.folder / "phone/data/local/tmp/a folder/it's").read_bytes() == b"\0content"
    adb.remove("/data/local/tmp/a folder/it's", "/data/local/tmp/never there")
    assert phone.files() == {"a folder"}


def test_the_phone_expands_nothing_in_arguments(phone: FakePhone, adb: Adb) -> None:
    args = ["mkdir", "-p", "/data/local/tmp/$(reboot); `x` * 'a' \"b\" && c"]
    adb.shell(args)
    assert phone.commands() == [["shell", *args]]


def test_a_serial_chooses_among_phones(phone: FakePhone, adb: Adb) -> None:
    phone.script(devices={"FAKE0001": "device", "FAKE0002": "offline"})
    with pytest.raises(DeviceError, match="serial of FAKE0001, FAKE0002"):
        adb.properties()
    assert Adb("FAKE0001", str(phone.adb)).properties().model == "Example 5"
    with pytest.raises(DeviceError, match=r"device offline.*reconnect"):
        Adb("FAKE0002", str(phone.adb)).properties()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ({"devices": {}}, "no devices.*connect a phone"),
        ({"devices": {"FAKE0001": "unauthorized"}}, "unauthorized.*allow USB debugging"),
        ({"devices": {"FAKE0001": "offline"}}, "offline.*reconnect"),
        ({"lost_after": 0}, "not found.*the phone is gone"),
        ({"deny": ["chmod"]}, r"chmod.*Permission denied.*\(exit status 1\): use a phone"),
    ],
)
def test_failures_say_what_to_do(phone: FakePhone, adb: Adb, script: dict[str, object], told: str) -> None:
    phone.script(**script)
    with pytest.raises(DeviceError, match=told):
        adb.shell(["chmod", "755", "/data/local/tmp/x"])


def test_a_lost_phone_is_told_where_the_exit_status_does_not_matter(phone: FakePhone, adb: Adb) -> None:
    phone.script(lost_after=0)
    with pytest.raises(DeviceError, match="the phone is gone"):
        adb.thermal_status()


@pytest.mark.parametrize("status", [1, 0])
def test_a_full_phone_is_told_by_every_version_of_adb(tmp_path: Path, status: int) -> None:
    program = tmp_path / "adb"
    text = "adb: error: failed to copy 'x' to 'y': remote No space left on device"
    program.write_text(f'#!/bin/sh\necho "{text}"\nexit {status}\n', encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(DeviceError, match=r"No space left.*free some space"):
        Adb(program=str(program)).push(tmp_path / "x", "y")


def test_any_other_failure_quotes_what_was_printed(adb: Adb) -> None:
    with pytest.raises(DeviceError, match=r"`adb shell frobnicate 1` succeeds; got '.*not found' \(exit status 127\)$"):
        adb.shell(["frobnicate", "1"])
    assert "not found" in adb.shell(["frobnicate", "1"], check=False)


def test_what_takes_too_long_is_stopped(phone: FakePhone, adb: Adb) -> None:
    phone.script(slow=["getprop"])
    with pytest.raises(DeviceError, match=r"`adb shell getprop` ends within 0.3 s"):
        adb.shell(["getprop"], timeout_s=0.3)


@pytest.mark.parametrize("kind", ["absent", "not executable", "a folder"])
def test_a_missing_client_is_told(tmp_path: Path, kind: str) -> None:
    program = tmp_path / "adb"
    if kind == "not executable":
        program.write_text("", encoding="utf-8")
    elif kind == "a folder":
        program.mkdir()
    with pytest.raises(DeviceError, match=r"platform tools.*give the path of adb"):
        Adb(program=str(program)).devices()


@pytest.mark.parametrize(("cores", "mask"), [("big", "c0"), ("middle", "30"), ("little", "f"), ("all", "ff")])
def test_masks_follow_the_frequencies(cores: str, mask: str) -> None:
    assert affinity_mask(FREQUENCIES, cores) == mask


def test_phones_of_one_and_two_kinds_of_cores() -> None:
    two = {0: 3000, 1: 1000, 2: 3000, 3: 1000}
    assert (affinity_mask(two, "big"), affinity_mask(two, "little")) == ("5", "a")
    with pytest.raises(DeviceError, match=r"'middle'.*2 kinds.*'all'"):
        affinity_mask(two, "middle")
    assert affinity_mask({0: 1000, 1: 1000}, "big") == affinity_mask({0: 1000, 1: 1000}, "little") == "3"
    with pytest.raises(DeviceError, match="no frequencies"):
        affinity_mask({}, "big")
    with pytest.raises(InputError, match="'huge'"):
        affinity_mask(two, "huge")


@given(st.dictionaries(st.integers(0, 15), st.integers(1, 4).map(lambda ghz: ghz * 10**6), min_size=1))
def test_every_core_is_of_one_kind(frequencies: dict[int, int]) -> None:
    everything = int(affinity_mask(frequencies, "all"), 16)
    assert everything == sum(1 << core for core in frequencies)
    kinds = min(len(set(frequencies.values())), 3)
    masks = [int(affinity_mask(frequencies, kind), 16) for kind in ("big", "little", "middle")[:kinds]]
    assert sum(masks) == everything
