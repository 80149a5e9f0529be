"""Progress in a log file: lines on standard error, few of them, and always the last."""

from __future__ import annotations

import pytest

pytest.importorskip("rich")

from eas_train.progress import duration, progress


def test_a_log_gets_the_last_line_and_standard_output_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting", 1000) as update:
        for done in range(1, 1001):
            update(done, "sheep")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[-1].startswith("counting: 1000/1000")
    assert lines[-1].endswith("sheep")
    assert len(lines) < 10


def test_lines_come_as_often_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting", 5, start=2, every_s=0) as update:
        for done in (3, 4, 5):
            update(done, "")
    assert [line.split(",")[0].strip() for line in capsys.readouterr().err.splitlines()] == [
        "counting: 3/5",
        "counting: 4/5",
        "counting: 5/5",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3569, "59 min"),
        (3590, "1 h 0 min"),
        (6955, "1 h 56 min"),
        (86399, "1 d 0 h"),
        (183_600, "2 d 3 h"),
    ],
)
def test_times_are_told_in_units_that_people_count_in(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_the_time_left_is_by_the_pace_of_late(capsys: pytest.CaptureFixture[str]) -> None:
    """The first step takes an hour, the others a minute each."""
    now = 0.0
    with progress("training", 100, start=10, clock=lambda: now) as update:
        update(10, "nothing yet")
        now += 3600
        for done in range(11, 101):
            now += 60
            update(done, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 11/100, 3 d 18 h left"
    assert lines[40] == "training: 51/100, 49 min left"
    assert lines[-1] == "training: 100/100"


def test_the_time_left_knows_that_steps_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten steps of a second each, then ten of a minute each."""
    now = 0.0
    with progress("training", 20, every_s=0, clock=lambda: now, effort=lambda n: n + 59.0 * max(0, n - 10)) as update:
        for done in range(1, 21):
            now += 1 if done <= 10 else 60
            update(done, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines[4] == "training: 5/20, 10 min left"
    assert lines[14] == "training: 15/20, 5 min left"
