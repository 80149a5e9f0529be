"""Trains the weight bank and the architecture generator of eas_sdk, and writes bundles (needs torch).

>>> import eas_train
>>> eas_train.check("my_photos")  # doctest: +SKIP
<Check 'my_photos': 120 images of 3 classes, ok>
>>> report = eas_train.train("my_photos")  # doctest: +SKIP
>>> report.runtime().specialize("birds", "50%").predict("photo.jpg")[0].label  # doctest: +SKIP
'owl'
"""

from __future__ import annotations

from eas_train.before.check import Check
from eas_train.before.command import check
from eas_train.command import train
from eas_train.result import Report

__all__ = ["Check", "Report", "check", "train"]
