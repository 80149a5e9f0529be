"""Engines run a graph: ``load_engine("numpy").compile(graph).run(images)``."""

from __future__ import annotations

from eas_sdk.engine.protocol import Engine, Program
from eas_sdk.engine.registry import ENGINES, load_engine

__all__ = ["ENGINES", "Engine", "Program", "load_engine"]
