"""Iconify drawings to RGBA pixels, with resvg."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, MissingDependency


def svg_document(icons: Mapping[str, Any], icon: str, size: int) -> str:
    """One icon of an iconify set as a square SVG document: aspect kept, drawing centred.

    `left`, `top`, `width` and `height` are the view box; an icon's own win over the set's, which win over
    iconify's defaults of 0, 0, 16, 16.
    """
    entry = icons["icons"][icon]
    left, top, width, height = (
        float(entry.get(key, icons.get(key, default)))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{size}" height="{size}" viewBox="{left:g} {top:g} {width:g} {height:g}" '
        f'preserveAspectRatio="xMidYMid meet">{entry["body"]}</svg>'
    )


def rasterise(svg: str, size: int) -> npt.NDArray[np.uint8]:
    """uint8 [size, size, 4]: RGBA with straight alpha.

    Raises:
        MissingDependency: where resvg-py or Pillow is not installed.
        DataError: where resvg refuses the drawing, or draws nothing at all.
    """
    try:
        import resvg_py
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(f"rasterising needs resvg-py and Pillow ({error})", "train") from None
    try:
        # Without system fonts: a drawing with text would differ from machine to machine.
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
    except (ValueError, OSError) as error:
        raise DataError(f"resvg cannot draw it: {error}") from None
    except BaseException as error:
        # A panic inside resvg arrives as pyo3's PanicException, which is no Exception and cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise DataError(f"resvg cannot draw it: {error}") from None
    if pixels.shape != (size, size, 4):
        raise DataError(f"resvg gave {pixels.shape[1]}x{pixels.shape[0]} pixels, expected {size}x{size}")
    if not pixels[..., 3].any():
        raise DataError("it has no visible pixel")
    return pixels


def renderer_version() -> str:
    """The version of resvg-py, part of what a cached drawing depends on; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("resvg-py")
    except PackageNotFoundError:
        return ""
