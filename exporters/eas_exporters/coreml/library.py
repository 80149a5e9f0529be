"""coremltools on demand: one caller at a time, its notices and progress bars kept from the terminal."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import shutil
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eas_sdk.errors import MissingDependency

_ONE_AT_A_TIME = threading.RLock()  # coremltools builds programs on a stack that all threads share


@contextlib.contextmanager
def coremltools() -> Iterator[Any]:
    """The package coremltools, for the caller alone.

    It reports what a system lacks through its logger, and progress to standard error, and keeps packages in temporary
    folders until the process ends, or until nobody holds the error that ended it: inside this context none of it is
    seen, and after it nothing is left. Errors are raised as ever.

    Raises:
        MissingDependency: it is not installed.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ONE_AT_A_TIME)
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_errors_only())
        warnings.simplefilter("ignore")
        try:
            package = importlib.import_module("coremltools")
        except ImportError as error:
            raise MissingDependency(
                "Core ML packages are made by coremltools, which is not installed", "coreml"
            ) from error
        stack.enter_context(_nothing_left())  # after the import: packages that come with it keep caches for later
        yield package


@contextlib.contextmanager
def _errors_only() -> Iterator[None]:
    logger = logging.getLogger("coremltools")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _nothing_left() -> Iterator[None]:
    """Remove the temporary files of this context, and nothing that other threads put beside them meanwhile."""
    folder, before = tempfile.mkdtemp(), tempfile.tempdir
    tempfile.tempdir = folder
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # in them are folders that are removed with their objects
        raise
    finally:
        tempfile.tempdir = before
        for package in Path(folder).glob("*.mlpackage"):
            shutil.rmtree(package)
        with contextlib.suppress(OSError):  # another thread's file is in it
            os.rmdir(folder)
