"""The router: a small network of its own that tells superclasses apart, and what belongs to none."""
