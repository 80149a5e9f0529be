"""Measuring the latency of a network on a phone."""

from __future__ import annotations

from eas_sdk.bank.slicing import cut
from eas_sdk.bench.figures import Case, Figures
from eas_sdk.bench.local import predicted_latency_ms, select
from eas_sdk.errors import EasError
from eas_sdk.graph.cost import cost
from eas_sdk.latency.meter import Meter
from eas_sdk.runtime import Runtime
from eas_sdk.task import resolve


def measure_on_phone(case: Case, runtime: Runtime, meter: Meter) -> Figures | str:
    """Latency of a network by a meter, or the error that there is instead."""
    try:
        architecture = select(runtime, case)
        graph = cut(runtime.bundle, architecture, resolve(case.task, runtime.bundle.superclasses).classes)
        timing = meter.measure(graph)
    except EasError as error:
        return str(error)
    total = cost(graph.nodes)
    return Figures(
        architecture=str(architecture),
        madds=total.madds,
        parameters=total.parameters,
        latency_p50_ms=timing.median_ms,
        latency_spread_ms=timing.spread_ms,
        predicted_latency_ms=predicted_latency_ms(runtime, graph, case),
    )
