"""From a task and a budget to a prediction, in the lines of the README.

python examples/first_steps.py [BUNDLE]
"""

from __future__ import annotations

import sys

import numpy as np

import eas_sdk

runtime = eas_sdk.load(*sys.argv[1:2])  # the shipped bundle, or the path of yours
print(runtime.tasks)
task = "birds" if "birds" in runtime.tasks else runtime.tasks[0]
smallest, largest = runtime.budget_range(task)  # multiply-adds of the smallest and the largest network
print(f"{task}: networks of {smallest} to {largest} multiply-adds")

model = runtime.specialize(task, (smallest + largest) // 2)  # never exceeds the budget
print(model.architecture, model.madds, model.labels)

images = np.zeros((1, 480, 640, 3), np.uint8)  # RGB of any size, from a file or a camera
print(model.predict(images)[0].top)
