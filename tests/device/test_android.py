"""Reading a phone through Chaquopy, of which only the `java` module is made up here."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from eas_sdk.device import android
from eas_sdk.device.android import Headroom
from eas_sdk.device.state import THERMAL, DeviceState, read_state

ABSENT = -(2**31)
"""What getIntProperty answers for a property that a phone lacks."""


class JavaException(Exception):
    """Chaquopy's java.lang.Throwable is an Exception."""


class Phone:
    """The Java objects of a phone; an answer that is an exception is thrown."""

    def __init__(self, api: int = 34, **answers: object) -> None:
        self.api = api
        self.asked: list[tuple[object, ...]] = []
        self.answers: dict[str, object] = {
            "getIntProperty": 80,
            "isCharging": False,
            "isPowerSaveMode": False,
            "getCurrentThermalStatus": 0,
            "getThermalHeadroom": 0.5,
            **answers,
        }

    def _method(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            self.asked.append((name, *arguments))
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def service(self, name: str) -> object:
        methods = {
            "batterymanager": ("getIntProperty", "isCharging"),
            "power": ("isPowerSaveMode", "getCurrentThermalStatus", "getThermalHeadroom"),
        }[name]
        # A method that this version of Android lacks is an AttributeError.
        since = {"getCurrentThermalStatus": 29, "getThermalHeadroom": 30}
        present = [method for method in methods if self.api >= since.get(method, 0)]
        return types.SimpleNamespace(**{method: self._method(method) for method in present})

    def jclass(self, name: str) -> object:
        if name == "android.os.Build":
            return types.SimpleNamespace(VERSION=types.SimpleNamespace(SDK_INT=self.api))
        if name == "com.chaquo.python.Python":
            context = types.SimpleNamespace(getSystemService=self.service)
            platform = types.SimpleNamespace(getApplication=lambda: context)
            return types.SimpleNamespace(getPlatform=lambda: platform)
        raise JavaException(f"java.lang.NoClassDefFoundError: {name}")


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Phone]:
    """Become an app on a phone with the given answers."""

    def become(api: int = 34, **answers: object) -> Phone:
        phone = Phone(api, **answers)
        module = types.ModuleType("java")
        module.jclass = phone.jclass
        monkeypatch.setitem(sys.modules, "java", module)
        return phone

    return become


def test_a_phone(start: Callable[..., Phone]) -> None:
    phone = start(getIntProperty=42, isCharging=True, isPowerSaveMode=True, getCurrentThermalStatus=2)
    assert android.read(Headroom()) == DeviceState(0.42, True, True, "moderate", 0.5, None, "Android 34")
    assert ("getIntProperty", 4) in phone.asked  # BATTERY_PROPERTY_CAPACITY
    assert ("getThermalHeadroom", android.FORECAST_S) in phone.asked


def test_read_state_reads_the_phone(start: Callable[..., Phone]) -> None:
    start(getIntProperty=42)
    assert read_state().battery == 0.42


@pytest.mark.parametrize(("status", "level"), [*enumerate(THERMAL), (7, None), (-1, None), (None, None), (True, None)])
def test_thermal_status(start: Callable[..., Phone], status: object, level: str | None) -> None:
    start(getCurrentThermalStatus=status)
    assert android.read(Headroom()).thermal == level


@pytest.mark.parametrize(
    ("api", "thermal", "headroom"), [(24, None, None), (28, None, None), (29, "none", None), (30, "none", 0.5)]
)
def test_older_versions_of_android(
    start: Callable[..., Phone], api: int, thermal: str | None, headroom: float | None
) -> None:
    start(api)
    assert android.read(Headroom()) == DeviceState(0.8, False, False, thermal, headroom, None, f"Android {api}")


@pytest.mark.parametrize(
    ("answer", "value", "field"),
    [
        ("getIntProperty", ABSENT, "battery"),
        ("getIntProperty", None, "battery"),
        ("isCharging", None, "charging"),
        ("isPowerSaveMode", None, "power_saving"),
        ("getThermalHeadroom", math.nan, "headroom"),
        ("getThermalHeadroom", -1.0, "headroom"),
        ("getThermalHeadroom", math.inf, "headroom"),
        *[
            (method, JavaException("java.lang.SecurityException"), field)
            for method, field in (
                ("getIntProperty", "battery"),
                ("isCharging", "charging"),
                ("isPowerSaveMode", "power_saving"),
                ("getCurrentThermalStatus", "thermal"),
                ("getThermalHeadroom", "headroom"),
            )
        ],
    ],
)
def test_what_a_phone_refuses_is_unknown_and_the_rest_is_read(
    start: Callable[..., Phone], answer: str, value: object, field: str
) -> None:
    start(**{answer: value})
    state = android.read(Headroom())
    unknown = {name for name, known in state.to_json().items() if known is None}
    assert unknown == {field, "load"}


@pytest.mark.parametrize("name", ["batterymanager", "power"])
def test_a_phone_without_a_service(start: Callable[..., Phone], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    phone = start()
    whole = phone.service
    monkeypatch.setattr(phone, "service", lambda asked: None if asked == name else whole(asked))
    state = android.read(Headroom())
    assert (state.battery is None) == (name == "batterymanager")
    assert (state.power_saving is None) == (name == "power")


def test_without_chaquopy_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "java", None)
    state = android.read(Headroom())
    assert state == DeviceState(source=state.source)
    assert "Chaquopy" in state.source


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_headroom_is_asked_for_once_a_second_and_remembered(start: Callable[..., Phone]) -> None:
    phone, clock = start(), Clock()
    paced = Headroom(clock)
    seen = []
    for wait, answer in ((0.0, 0.5), (0.4, 0.6), (0.4, 0.7), (0.4, 0.8), (1.0, math.nan), (1.0, 0.9)):
        clock.now_s += wait
        phone.answers["getThermalHeadroom"] = answer
        seen.append(android.read(paced).headroom)
    assert seen == [0.5, 0.5, 0.5, 0.8, 0.8, 0.9]
    assert phone.asked.count(("getThermalHeadroom", 10)) == 4


def test_an_old_headroom_is_forgotten(start: Callable[..., Phone]) -> None:
    phone, clock = start(), Clock()
    paced = Headroom(clock)
    assert android.read(paced).headroom == 0.5
    phone.answers["getThermalHeadroom"] = math.nan
    clock.now_s += android.FORECAST_S
    assert android.read(paced).headroom == 0.5
    clock.now_s += 1.0
    assert android.read(paced).headroom is None
