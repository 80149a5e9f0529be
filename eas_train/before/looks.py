"""Many image files looked at, side by side, and remembered in the user's cache folder.

Threads do it: Pillow decodes without Python's lock, and threads need no start and no guard in the script that calls.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import random
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.cache import cache_folder
from eas_sdk.errors import InputError
from eas_train.before.look import Look, look, seems_whole
from eas_train.progress import progress
from eas_train.threads import usable_cores

VERSION = 1
"""Of what is remembered; another one is not read."""
SHOWN_FROM = 400
"""Files for which progress is shown; fewer take a few seconds at most."""

State = tuple[int, int]
"""Size in bytes and time of the last change in ns: a file with the same is the same."""


def look_at(place: Path, files: Iterable[Path], *, seconds: float | None = None) -> dict[Path, Look]:
    """What is seen of each file; of those that were looked at before and have not changed since it is remembered.

    Files of equal length get a digest. What cannot be read is not remembered, as it may have been for another reason.

    Args:
        place: that the files belong to; what is remembered goes by it.
        seconds: after which the rest is left; first come files that do not seem whole, then others in random order. By
            default all are looked at.
    """
    states, found = _states(files)
    lengths = Counter(length for length, _ in states.values())
    before = _remembered(place)
    for path, state in states.items():
        seen = before.get(os.path.abspath(path))
        if seen is not None and seen[0] == state and (seen[1].digest or lengths[state[0]] == 1):
            found[path] = seen[1]
    left = [path for path in states if path not in found]
    if left:
        began = time.monotonic()
        if seconds is not None:
            random.Random(0).shuffle(left)
            left = doubtful_first(left, began + seconds / 3)
        until = math.inf if seconds is None else began + seconds
        try:
            _look_at(left, {path: lengths[states[path][0]] > 1 for path in left}, until, found)
        finally:
            known = {os.path.abspath(path): (states[path], seen) for path, seen in found.items() if not seen.error}
            _remember(place, known)
    return found


def _states(files: Iterable[Path]) -> tuple[dict[Path, State], dict[Path, Look]]:
    """Of the files that are there, and what is seen of the others."""
    states: dict[Path, State] = {}
    gone: dict[Path, Look] = {}
    for path in dict.fromkeys(files):
        try:
            status = path.stat()
        except OSError as error:
            gone[path] = Look(error.strerror or str(error))
        else:
            states[path] = status.st_size, status.st_mtime_ns
    return states, gone


def doubtful_first(files: Sequence[Path], until: float) -> list[Path]:
    """Files that do not seem whole, as far as that is found in time (of `time.monotonic`), and then all others."""
    doubtful: dict[Path, None] = {}
    for path in files:
        if time.monotonic() >= until:
            break
        if not seems_whole(path):
            doubtful[path] = None
    return [*doubtful, *(path for path in files if path not in doubtful)]


def _look_at(left: list[Path], digests: Mapping[Path, bool], until: float, found: dict[Path, Look]) -> None:
    """Add to `found` until all is done, or the time is up."""
    shown, pool = len(left) >= SHOWN_FROM, ThreadPoolExecutor(usable_cores())
    with warnings.catch_warnings(), progress("look at images", len(left), shown=shown) as update, pool:
        warnings.simplefilter("ignore")  # Pillow's, of what does not keep it from reading
        waiting = {pool.submit(look, path, digest=digests[path]): path for path in left}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                found[waiting[future]] = future.result()
                update(done, "")
                if time.monotonic() >= until:
                    break
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _file(place: Path) -> Path:
    named = hashlib.sha256(os.fsencode(os.path.abspath(place))).hexdigest()
    return cache_folder() / "looks" / f"{named[:32]}.json.gz"


def _remember(place: Path, known: Mapping[str, tuple[State, Look]]) -> None:
    rows = {path: [*state, seen.looks.hex(), seen.digest.hex()] for path, (state, seen) in known.items()}
    with suppress(OSError, InputError):  # where nothing can be kept, it is looked again
        path = _file(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": VERSION, "looks": rows}).encode()
        write_atomically(path, [gzip.compress(text, compresslevel=1, mtime=0)])


def _remembered(place: Path) -> dict[str, tuple[State, Look]]:
    """What `_remember` kept; nothing where there is nothing that can be read."""
    try:
        data = json.loads(gzip.decompress(_file(place).read_bytes()))
        if data["version"] != VERSION:
            return {}
        return {
            path: ((int(length), int(changed)), Look("", bytes.fromhex(looks), bytes.fromhex(digest)))
            for path, (length, changed, looks, digest) in data["looks"].items()
        }
    except (OSError, EOFError, zlib.error, ValueError, RecursionError, KeyError, TypeError, AttributeError, InputError):
        return {}
