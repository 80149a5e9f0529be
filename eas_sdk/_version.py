"""The one place that states the version, which pyproject.toml reads from here, and the name to install."""

__version__ = "0.1.0"
DISTRIBUTION = "elastic-architecture-search"
