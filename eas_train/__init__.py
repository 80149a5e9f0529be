"""Trains the weight bank and the architecture generator of eas_sdk, and writes bundles (needs torch).

>>> import eas_train
>>> report = eas_train.train("my_photos")  # doctest: +SKIP
>>> report.runtime().specialize("birds", "50%").predict("photo.jpg")[0].label  # doctest: +SKIP
'owl'
"""

from __future__ import annotations

from eas_train.command import train
from eas_train.result import Report

__all__ = ["Report", "train"]
