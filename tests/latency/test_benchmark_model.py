"""The output of benchmark_model: every build's form is read, everything else is refused in words."""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from latency.outputs import ALL_SAME, LOGCAT, NEWER, NO_MODEL, OLDER, PROFILED

from eas_sdk.errors import DeviceError
from eas_sdk.latency.benchmark_model import BenchmarkRun, excerpt, parse, version

QUARTILES_MS = 0.249 * 0.2050
"""p95 - p5 of NEWER, as half the distance between the quartiles of a normal distribution."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            NEWER,
            (12.75, 10.84, 102, 9.795, QUARTILES_MS, 9.688, 12.1, 9.82031, 11.5312, "completely"),
            id="with percentiles",
        ),
        pytest.param(
            OLDER,
            (17.187, 1312.391, 50, 1250.34, 109.798, 1127.568, 1389.954, 1250.34, 138.809, "completely"),
            id="without prefix, percentiles, and with exponents",
        ),
        pytest.param(
            LOGCAT, (126.059, 32.942, 75, 12.1676, 0.325, 11.787, 13.649, 12.1676, None, "partially"), id="logcat"
        ),
        pytest.param(ALL_SAME, (0.512, 0.012, 3, 0.007, 0, 0.007, 0.007, 0.007, None, "none"), id="all same"),
        pytest.param(
            PROFILED, (0.87, 0.13, 50, 0.119375, 0.002, 0.113, 0.124, 0.119375, None, "unknown"), id="profile"
        ),
    ],
)
def test_every_form_is_read(text: str, expected: tuple[object, ...]) -> None:
    *numbers, delegated = astuple(parse(text))
    assert numbers == pytest.approx(expected[:-1], rel=1e-3)
    assert delegated == expected[-1]


def test_line_endings_of_old_phones_change_nothing() -> None:
    assert parse(NEWER.replace("\n", "\r\n")) == parse(NEWER)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "Inference timings in us"),
        ("Segmentation fault\n", "Inference timings in us"),
        (NO_MODEL, "reports no error"),
        (NEWER + "ERROR: Node number 3 (DELEGATE) failed to invoke.\n", "reports no error"),
        (LOGCAT + "05-30 15:16:46.4  3380  3380 E tflite  : Benchmarking failed.\n", "reports no error"),
        (NEWER.replace("count=", "runs="), "count="),
        (NEWER.replace("count=102", "count=0"), "at least one"),
        (NEWER.replace("count=102", "count=" + "9" * 5000), "at least one"),
        (NEWER.replace("median=9795", "median=nan"), "finite"),
        (NEWER.replace("avg=9820.31", "avg=inf"), "finite"),
        (NEWER.replace("avg=9820.31", "avg=1e999"), "finite"),
        (NEWER.replace("std=240", "std=-nan"), "finite"),
        (NEWER.replace("p95=9950", "p95="), "finite"),
        (NEWER.replace("Init: 12750", "Init: 1_2"), "finite"),
        (NEWER.replace("overall=11.5312", "overall=?"), "finite"),
        (NEWER.replace("First inference: 10840", "First inference: -4"), "at least 0"),
        (NEWER.replace("median=9795", "median=12101.5"), "'median' <= 'max'"),
        (NEWER.replace("min=9688", "min=9900"), "'min' <= 'avg'"),
        (NEWER.replace("p95=9950", "p95=9000"), "'p5' <= 'p95'"),
        (NEWER.replace("Inference (avg): 9820.31", "Inference (avg): 982"), "one mean"),
        (OLDER.replace("std=109798", "std=109798 median=1e6"), "'min' <= 'avg'"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_complete_run_is_refused(text: str, rule: str) -> None:
    with pytest.raises(DeviceError, match=rule):
        parse(text)


@pytest.mark.parametrize("text", [NEWER, OLDER, LOGCAT], ids=["newer", "older", "logcat"])
def test_an_output_that_was_cut_is_refused_wherever(text: str) -> None:
    end = text.index("Inference (avg): ") + len("Inference (avg): ") + 4  # behind these digits it is the same run
    for cut in range(end):
        with pytest.raises(DeviceError):
            parse(text[:cut])


def test_an_error_quotes_the_end_of_the_offending_line() -> None:
    with pytest.raises(DeviceError) as error:
        parse("INFO: STARTING!\nERROR: failed to apply \x00" + "y" * 500 + " the delegate\nINFO: count=3")
    quoted = str(error.value).partition("got ")[2]
    assert quoted.endswith("the delegate'")
    assert 150 < len(quoted) <= 202


LINES = st.lists(st.sampled_from("".join([NEWER, OLDER, LOGCAT, ALL_SAME, NO_MODEL]).splitlines()), max_size=12)
SPOILT = st.builds(
    lambda text, at, put: text[: at % len(text)] + put + text[at % len(text) + len(put) :],
    st.sampled_from([NEWER, OLDER, LOGCAT, ALL_SAME]),
    st.integers(0, 10**4),
    st.text("0123456789.e+-=naif \n", max_size=6),
)


@given(st.text() | LINES.map("\n".join) | SPOILT)
@example("count=²\nInference timings in us: Init: 1, First inference: 1, Warmup (avg): 1, Inference (avg): 1")
def test_any_text_is_a_run_or_a_device_error(text: str) -> None:
    try:
        run = parse(text)
    except DeviceError:
        return
    assert isinstance(run, BenchmarkRun)
    assert run.count >= 1
    assert 0 <= run.min_ms <= run.max_ms < math.inf
    assert all(math.isfinite(value) and value >= 0 for value in (run.init_ms, run.first_ms, run.spread_ms))
    assert run.min_ms * 0.999 <= run.median_ms <= run.max_ms * 1.001


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("INFO: Initialized TensorFlow Lite runtime.", "unknown"),
        ("benchmark_model, TensorFlow Lite version 2.16.1", "2.16.1"),
        ("INFO: LiteRT runtime version: v2.1.0-rc1\n", "2.1.0-rc1"),
    ],
)
def test_the_version_is_what_the_program_states(text: str, stated: str) -> None:
    assert version(text) == stated


@given(st.text())
def test_an_excerpt_is_one_short_printable_line(text: str) -> None:
    assert len(excerpt(text)) <= 200
    assert excerpt(text).isprintable()
