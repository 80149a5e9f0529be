"""The picture of `eas demo`: drawings, and what each network takes them for."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

# All lengths are in pixels.
TILE, GAP, MARGIN = 96, 18, 28
FRAME = 4
STRIP_HEAD, CAPTION = 30, 42
PANEL_HEAD = 48
PANELS_ACROSS = 2
LEAST_COLUMNS = 5
"""For titles of strips, and notes beside them; fewer drawings leave room."""

PAPER, CARD, EDGE, INK, FAINT = "#f2f3f5", "#ffffff", "#dfe2e6", "#1d2430", "#667080"
RIGHT, WRONG = "#2b9a5a", "#d23f3f"


@dataclass(frozen=True)
class Answer:
    """What a network says of one drawing."""

    label: str
    probability: float
    is_right: bool


@dataclass(frozen=True)
class Strip:
    """One network's answers for all the drawings of its panel."""

    title: str
    note: str
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Panel:
    """One task: its drawings (uint8 [S, S, 3] each), and a strip for each network."""

    title: str
    images: Sequence[npt.NDArray[np.uint8]]
    strips: Sequence[Strip]


def render(panels: Sequence[Panel], credit: str) -> bytes:
    """The panels side by side as a PNG file, with the line `credit` below."""
    from PIL import Image, ImageDraw

    across = min(PANELS_ACROSS, len(panels))
    columns = max(LEAST_COLUMNS, *(len(panel.images) for panel in panels))
    width = 2 * MARGIN + columns * (TILE + GAP) - GAP
    height = max(PANEL_HEAD + len(p.strips) * (STRIP_HEAD + TILE + CAPTION) for p in panels) + MARGIN
    total_width = MARGIN + across * (width + MARGIN)
    lines = textwrap.wrap(credit, total_width // 8)
    total_height = 2 * MARGIN + -(-len(panels) // across) * (height + MARGIN) + 34 + 20 * len(lines)
    picture = Image.new("RGB", (total_width, total_height), PAPER)
    draw = ImageDraw.Draw(picture)
    heading = "eas demo: every row is another network, cut out of one set of weights for its task and budget"
    _text(draw, (MARGIN, MARGIN), heading, 20, INK, total_width - 2 * MARGIN)
    for index, panel in enumerate(panels):
        left = MARGIN + index % across * (width + MARGIN)
        top = MARGIN + 34 + index // across * (height + MARGIN)
        draw.rounded_rectangle((left, top, left + width, top + height), 14, CARD, EDGE)
        _panel(picture, draw, panel, left + MARGIN, top, width - 2 * MARGIN)
    for index, line in enumerate(lines):
        _text(draw, (MARGIN, total_height - MARGIN - 20 * (len(lines) - index)), line, 14, FAINT, total_width)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _panel(picture: Image, draw: ImageDraw, panel: Panel, left: int, top: int, width: int) -> None:
    from PIL import Image as images

    _text(draw, (left, top + 14), panel.title, 24, INK, width)
    for row, strip in enumerate(panel.strips):
        y = top + PANEL_HEAD + row * (STRIP_HEAD + TILE + CAPTION)
        note_width = draw.textlength(strip.note, _font(14))
        _text(draw, (left, y + 6), strip.title, 14, INK, width - int(note_width) - GAP)
        draw.text((left + width - note_width, y + 6), strip.note, FAINT, _font(14))
        y += STRIP_HEAD
        for column, (pixels, answer) in enumerate(zip(panel.images, strip.answers, strict=True)):
            x = left + column * (TILE + GAP)
            colour, verdict = (RIGHT, "right") if answer.is_right else (WRONG, "wrong")
            low, high = -FRAME, TILE + FRAME - 1
            draw.rounded_rectangle((x + low, y + low, x + high, y + high), 6, colour)
            tile = images.fromarray(pixels).resize((TILE, TILE), images.Resampling.LANCZOS)
            picture.paste(tile, (x, y))
            _text(draw, (x, y + TILE + FRAME + 1), answer.label, 13, INK, TILE + GAP - 4)
            _text(draw, (x, y + TILE + FRAME + 16), f"{answer.probability:.0%}, {verdict}", 13, colour, TILE)


def _text(draw: ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, width: int) -> None:
    """One line, cut with an ellipsis where it is wider than `width`."""
    font = _font(size)
    shown = text
    while len(shown) > 1 and draw.textlength(shown, font) > width:
        shown = shown[:-2].rstrip() + "…"
    draw.text(at, shown, colour, font)


@functools.lru_cache
def _font(size: int) -> ImageFont | FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
