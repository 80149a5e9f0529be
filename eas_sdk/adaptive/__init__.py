"""Adaptive sessions: networks that follow the state of a device, while predictions go on."""
