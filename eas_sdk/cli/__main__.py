"""`python -m eas_sdk.cli`: the same as `eas`."""

from __future__ import annotations

from eas_sdk.cli import main

main()
