"""Settings for the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

# No deadline: on a busy machine a slow example is no failure. The rest is inherited, so that hypothesis' own
# profile for continuous integration (no randomness, no example database) stays in force there.
settings.register_profile("eas", parent=settings(), deadline=None)
settings.load_profile("eas")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered between processes stays within a test."""
    monkeypatch.setenv("EAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
