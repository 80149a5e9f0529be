"""Trains the weight bank and the architecture generator of eas_sdk, and writes bundles (needs torch)."""
