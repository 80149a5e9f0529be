"""The budget in force, from tick to tick: the slider's, or with "auto" the policy's for the state of the device.

Larger budgets have to be wished for some seconds before they are adopted (dwelling), and bounds in time are corrected
by what frames really took (the closed loop): a phone under heat may say that nothing is wrong.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from eas_demo.choice import Choice
from eas_sdk.adaptive.dwell import Adoption, adopt
from eas_sdk.adaptive.feedback import Feedback, corrected, moved, update
from eas_sdk.budget import Budget
from eas_sdk.device.policy import DEFAULT_POLICY, Decision, decide
from eas_sdk.device.state import DeviceState

DWELL_S = 3.0

FRAME_MS = 33.0
"""A frame of a camera that gives thirty a second: what "auto" keeps to, where times can be predicted."""


@dataclass(frozen=True)
class Loop:
    """Where the loop stands.

    Attributes:
        choice: what the user asked for.
        adoption: the budget in force, and one that waits.
        decision: what the policy said of the device's state; None but for "auto".
        feedback: measured over predicted times; used: the one that the budget is corrected by.
    """

    choice: Choice
    adoption: Adoption
    decision: Decision | None
    feedback: Feedback
    used: Feedback

    @property
    def budget(self) -> Budget:
        """The budget in force, as it was before its bounds in time were corrected."""
        return corrected(self.adoption.budget, Feedback(1 / self.used.scale))

    @property
    def reason(self) -> str:
        """Why this budget, in words."""
        if self.decision is None:
            said = "the slider"
        else:
            said = f"{self.decision.rule_name}: {self.decision.reason}"
        scale = self.used.scale
        return said if scale == 1 else f"{said}; frames take {scale:.2f} times what the table says"


def fed(loop: Loop, measured_ms: Iterable[float], predicted_ms: float) -> Loop:
    """The loop after frames of the network in use."""
    feedback = loop.feedback
    for time_ms in measured_ms:
        feedback = update(feedback, time_ms, predicted_ms)
    return dataclasses.replace(loop, feedback=feedback)


def step(before: Loop | None, choice: Choice, state: DeviceState, now_s: float, *, timed: bool) -> Loop:
    """The loop after one more look.

    Args:
        before: None at the start.
        now_s: seconds of any clock that only grows.
        timed: whether times can be predicted, by a latency table.
    """
    feedback = Feedback() if before is None else before.feedback
    used = Feedback() if before is None else before.used
    if feedback.settled and moved(feedback, used):
        used = feedback
    decision, wish = None, choice.budget
    if wish is None:
        decision = decide(DEFAULT_POLICY, state, None if before is None else before.decision)
        wish = decision.budget & Budget(latency_ms=FRAME_MS) if timed else decision.budget
    wish = corrected(wish, used)
    if before is None or before.choice != choice:
        adoption = Adoption(wish)  # what the user asks for need not last
    else:
        adoption = adopt(before.adoption, wish, now_s, DWELL_S)
    return Loop(choice, adoption, decision, feedback, used)
