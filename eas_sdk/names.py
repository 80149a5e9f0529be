"""Names of superclasses and classes, whoever wrote them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection


def same(name: str) -> str:
    """The one form in which names are compared (Unicode's NFC): "é" is one character, or two as macOS writes files."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_utf8(text: str) -> bool:
    """Whether it can be written as UTF-8; names of files may hold bytes that cannot be read as such."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def split(text: str, known: Collection[str]) -> list[str]:
    """Names that commas separate, without spaces around them; a known name that holds commas is one name.

    Args:
        known: in the form of `same`.
    """
    parts = same(text).split(",")
    names: list[str] = []
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ",".join(parts[:end]).strip() in known), 1)
        names.append(",".join(parts[:end]).strip())
        parts = parts[end:]
    return [name for name in names if name]
