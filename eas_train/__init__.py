"""The companion of eas_sdk: trains the weight bank and the architecture generator, and writes bundles (needs torch)."""
