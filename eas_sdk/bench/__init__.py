"""Measuring networks as `eas bench` does: latency, throughput, memory, and the time of a switch."""
