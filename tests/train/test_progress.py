"""Progress in a log file: lines on standard error, few of them, and always the last."""

from __future__ import annotations

import pytest

pytest.importorskip("rich")

from eas_train.progress import progress


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
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "counting: 3/5",
        "counting: 4/5",
        "counting: 5/5",
    ]
