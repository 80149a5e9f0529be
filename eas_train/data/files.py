"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest_of(path: Path, algorithm: str) -> bytes:
    """The digest of a file's content by a hashlib algorithm such as `"sha256"`."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
