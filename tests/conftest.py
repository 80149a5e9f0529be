"""Settings for the whole suite."""

from __future__ import annotations

from hypothesis import settings

# No deadline: on a busy machine a slow example is no failure. The rest is inherited, so that hypothesis' own
# profile for continuous integration (no randomness, no example database) stays in force there.
settings.register_profile("eas", parent=settings(), deadline=None)
settings.load_profile("eas")
