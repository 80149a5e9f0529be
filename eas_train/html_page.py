"""One HTML page with everything inside: tables, pictures and text, for reports that are looked at and passed on."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Columns and cells."""

STYLE = (
    ".eas{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1d2430}"
    ".eas table{border-collapse:collapse;display:block;overflow-x:auto}"
    ".eas td,.eas th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}"
    ".eas :is(td,th):first-child,.eas :is(td,th):nth-child(2){text-align:left}.eas img{max-width:100%}"
    ".eas figure{display:inline-block;margin:.4rem;width:8.5rem;vertical-align:top;font-size:12px}"
    ".eas figure img{width:100%}.eas pre{background:#f2f3f5;padding:.8rem;overflow-x:auto}"
)


REFRESH = "http-equiv='refresh'"
"""In the head of a page that a browser is to look at again."""


def page(title: str, parts: Iterable[str], *, refresh_s: int | None = None) -> str:
    """The page, which can be written as UTF-8 whatever it names; `parts` are what the functions below make.

    A path may hold bytes that are no UTF-8. Each is shown as "?", which a shell takes for any one of them.

    Args:
        refresh_s: seconds after which a browser looks at the file again.
    """
    named = html.escape(title)
    again = "" if refresh_s is None else f"<meta {REFRESH} content='{refresh_s}'>"
    head = f"<meta charset='utf-8'>{again}<title>{named}</title><style>{STYLE}</style>"
    body = f"<h1>{named}</h1>{''.join(parts)}"
    text = f"<!doctype html><html lang='en'><head>{head}</head><body class='eas'>{body}</body></html>\n"
    return text.encode(errors="replace").decode()


def inline(page: str) -> str:
    """What `page` made, as a part of another page, in its own style; nothing of anything else."""
    body = re.search(r"<body[^>]*>(.*)</body>", page, re.DOTALL)
    return f"<style>{STYLE}</style><div class='eas'>{body[1] if body else ''}</div>"


def heading(text: str) -> str:
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def code(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def table(made: Table) -> str:
    columns, rows = made
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def picture(content: bytes, alt: str, kind: str = "png") -> str:
    """An image file's content, as it is."""
    source = base64.b64encode(content).decode()
    return f"<img alt='{html.escape(alt, quote=True)}' src='data:image/{kind};base64,{source}'>"


def photo(pixels: npt.NDArray[np.uint8], alt: str, *, longest: int | None = None) -> str:
    """Pixels [H, W, 3] as a JPEG, made smaller where a side is longer than `longest`."""
    from PIL import Image

    image, buffer = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if longest is not None:
        image.thumbnail((longest, longest))
    image.save(buffer, "JPEG", quality=85)
    return picture(buffer.getvalue(), alt, "jpeg")


def captioned(image: str, caption: str) -> str:
    """A small picture with text below."""
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"
