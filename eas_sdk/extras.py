"""Packages that only extras of this distribution bring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eas_sdk.errors import MissingDependency


@contextmanager
def training_packages() -> Iterator[None]:
    """A context for imports of eas_train.

    Raises:
        MissingDependency: a package that training needs is not installed.
    """
    try:
        yield
    except MissingDependency:
        raise
    except ImportError as error:
        raise MissingDependency(f"this needs the packages of training ({error})", "train") from error
