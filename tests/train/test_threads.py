"""On how many threads a training computes: those that are asked for, or the cores that nobody uses."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from eas_sdk.errors import InputError  # noqa: E402
from eas_train.threads import SET_BY, computing_on, free_cores, usable_cores  # noqa: E402


@pytest.mark.parametrize(
    ("usable", "cores", "load", "running", "expected"),
    [
        (2, 2, 0.0, 0, 2),
        (8, 8, 0.4, 1, 8),
        (8, 8, 3.2, 3, 5),
        (2, 2, 4.5, 5, 1),  # more is wanted than there is
        (8, 8, 7.9, 0, 8),  # what loaded the machine has just ended
        (8, 8, 0.2, 6, 8),  # for a moment only, perhaps
        (8, 8, 3.2, math.inf, 5),  # a system that does not say what runs
        (2, 64, 30.0, 30, 2),  # a container on a machine with cores to spare
        (2, 64, 63.0, 70, 1),
    ],
)
def test_threads_are_the_cores_that_nobody_uses(
    usable: int, cores: int, load: float, running: float, expected: int
) -> None:
    assert free_cores(usable, cores, load, running) == expected


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 99),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 99),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "190000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/c\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/docker/c\n",
                "sys/fs/cgroup/cpu/docker/c/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/docker/c/cpu.cfs_period_us": "100000\n",
            },
            99,
        ),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cores(tmp_path) == min(cores, allowed)


def test_what_is_asked_for_is_taken_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    was = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with computing_on(3) as number:
        assert number == torch.get_num_threads() == 3
        with computing_on() as number:  # the variable has been read by torch: nothing is chosen
            assert number == torch.get_num_threads() == 3
    assert torch.get_num_threads() == was
    with pytest.raises(InputError, match="from 1; got 0"), computing_on(0):
        pass


def test_a_training_goes_on_with_as_many_as_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET_BY:
        monkeypatch.delenv(name, raising=False)
    with computing_on(before=1) as number:
        assert number == 1
    with computing_on(before=10_000) as number:  # on a machine with fewer cores
        assert 1 <= number <= usable_cores()
    with computing_on() as number:
        assert 1 <= number <= usable_cores()
    with computing_on(2, before=1) as number:
        assert number == 2
