"""Hypothesis strategies for the states of devices."""

from __future__ import annotations

from hypothesis import strategies as st

from eas_sdk.device.state import THERMAL, DeviceState

SHARES = st.floats(0, 1)
FLAGS = st.booleans()

STATES = st.builds(
    DeviceState,
    battery=st.none() | SHARES,
    charging=st.none() | FLAGS,
    power_saving=st.none() | FLAGS,
    thermal=st.none() | st.sampled_from(THERMAL),
    headroom=st.none() | st.floats(0, 3),
    load=st.none() | SHARES,
    source=st.text(max_size=8),
)
"""Any states, parts of them unknown."""
