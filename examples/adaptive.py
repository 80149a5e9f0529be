"""A session whose network follows the device: here a battery that runs down, and a target that the app changes.

python examples/adaptive.py [BUNDLE]
"""

from __future__ import annotations

import sys

import numpy as np

import eas_sdk
from eas_sdk.device.state import DeviceState

runtime = eas_sdk.load(*sys.argv[1:2])
task = runtime.tasks[0]
battery = 1.0


def state() -> DeviceState:
    """What the device would say; leave `read_state` out below to ask the real one."""
    return DeviceState(battery=battery, charging=False)


with runtime.adaptive(
    task, read_state=state, dwell_s=0, on_switch=lambda switch: print(f"  switch: {switch}")
) as session:
    image = np.zeros((1, 480, 640, 3), np.uint8)
    for battery in (1.0, 0.35, 0.1):
        session.refresh()  # otherwise it looks once a second
        label = session.predict(image)[0].label
        print(f"battery {battery:.0%}: {session.model.madds} multiply-adds, {label}")
    session.target = "0%"  # the app itself wants the smallest network now
    session.refresh()
    print(f"target {session.target}: {session.model.madds} multiply-adds")
    print(session.counters)
