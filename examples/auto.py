"""The task "auto": a router picks the superclass, image by image and, in a session, scene by scene.

python examples/auto.py [BUNDLE]
"""

from __future__ import annotations

import sys

import numpy as np

import eas_sdk

runtime = eas_sdk.load(*sys.argv[1:2])
_, most = runtime.budget_range("auto")
model = runtime.specialize("auto", most)
frames = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8).repeat(60, 1).repeat(80, 2)

for prediction in model.predict(frames):
    print(prediction.superclass or "none of these", prediction.label, f"{prediction.probability:.1%}")

with runtime.adaptive("auto", target=most) as session:
    for frame in frames:  # of one camera: single odd frames do not change the scene
        (prediction,) = session.predict(frame[None])
        print("scene:", prediction.superclass or "none of these", prediction.label)
