"""The check itself: listed, looked at, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from eas_sdk.errors import DataError
from eas_sdk.image_file import files_below, names_image
from eas_train.before.alike import alike
from eas_train.before.check import FEW, Check, Copies, Member, OfClass, Unreadable
from eas_train.before.look import Look
from eas_train.before.looks import look_at
from eas_train.data.class_lists import listed
from eas_train.data.listing import Found, Listing, as_photos
from eas_train.data.own_photos import Own
from eas_train.data.splits import check_tasks

Parts = Mapping[str, Sequence[Found]]

MOST_NAMED = 10
"""Files that a sentence names."""


def examine(own: Own, *, seconds: float | None = None, skip_bad: bool = False) -> tuple[Check, Listing | None]:
    """Check images of one's own; also those that can be read, where they can be trained on.

    Args:
        seconds: after which no more files are opened.
        skip_bad: whether a training would leave out what cannot be read.
    """
    files = list(dict.fromkeys(file.path for part in own.parts.values() for file in part))
    looks = look_at(own.place, files, seconds=seconds)
    unreadable = tuple(
        Unreadable(own.name(path), looks[path].error) for path in files if path in looks and looks[path].error
    )
    readable, refused = _listing(own, unreadable)
    listing, problems = readable, [refused] if refused else []
    if unreadable and not skip_bad:
        listing, as_it_is = _listing(own, ())
        problems = [f"{len(unreadable)} of {len(files)} files cannot be read; --skip-bad leaves them out"]
        if refused:
            problems.append(as_it_is or f"without those: {refused}")
    parts = own.parts if listing is None else listing.found
    copies, repeated = _copies(own, parts, looks)
    classes, passed_over = _classes(parts), _passed_over(own.place)
    warnings = []
    if seconds is not None and len(looks) < len(files):
        warnings.append(
            f"{len(looks)} of {len(files)} files were looked at, in {seconds:.0f} s; `eas check` looks at all"
        )
    warnings += _warnings(classes, copies, passed_over)
    found = Check(
        own.place,
        own.form if listing is None else listing.taken,
        classes,
        unreadable,
        passed_over,
        copies,
        repeated,
        len(looks),
        len(files),
        tuple(problems),
        tuple(warnings),
    )
    return found, readable


def unlisted(path: Path, error: DataError) -> Check:
    """Of a folder or a list that a training takes for nothing."""
    passed_over = _passed_over(path)
    warnings = tuple(_warnings((), (), passed_over))
    return Check(path, "", (), (), passed_over, (), 0, 0, 0, (str(error),), warnings)


def unreadable_of(unreadable: Sequence[Unreadable], files: int) -> str:
    """A sentence that names them, with their reasons."""
    named = listed([f"{each.file} ({each.reason})" for each in unreadable], MOST_NAMED)
    return f"{len(unreadable)} of {files} files cannot be read as images: {named}"


def _listing(own: Own, left_out: Sequence[Unreadable]) -> tuple[Listing | None, str]:
    """The images divided, or why a training refuses them."""
    try:
        listing = (own.without([each.file for each in left_out]) if left_out else own).listing()
        check_tasks(as_photos(listing))
    except DataError as error:
        return None, str(error)
    return listing, ""


def _classes(parts: Parts) -> tuple[OfClass, ...]:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for split, files in parts.items():
        for file in files:
            counts.setdefault((file.superclass, file.class_name), Counter())[split] += 1
    return tuple(OfClass(*key, {split: counts[key][split] for split in parts}) for key in sorted(counts))


def _copies(own: Own, parts: Parts, looks: Mapping[Path, Look]) -> tuple[tuple[Copies, ...], int]:
    """Copies in several splits or of several classes, and how many others there are."""
    rows = [(split, file) for split, files in parts.items() for file in files if file.path in looks]
    found, repeated = [], 0
    for group in alike([looks[file.path] for _, file in rows]):
        members = [(split, file) for split, file in (rows[i] for i in group)]
        contents = {looks[file.path].digest for _, file in members}
        made = Copies(
            len(contents) == 1 and b"" not in contents,
            tuple(Member(own.name(file.path), split, file.class_name) for split, file in members),
        )
        if max(len(made.splits), len(made.classes)) > 1:
            found.append(made)
        places = {(split, file.class_name) for split, file in members}
        repeated += len(members) - len(places)
    return tuple(found), repeated


def _passed_over(place: Path) -> dict[str, int]:
    """Files in a folder that are no images by their names, by suffix, the most first."""
    if not place.is_dir():
        return {}
    others = files_below(place, lambda name: not name.startswith(".") and not names_image(name))
    return dict(Counter(Path(path).suffix.lower() or "no suffix" for path in others).most_common())


def _warnings(classes: Sequence[OfClass], copies: Sequence[Copies], passed_over: Mapping[str, int]) -> list[str]:
    said = []
    if passed_over:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.items())
        said.append(f"files passed over, whose names are not those of images: {counts}")
    if few := sorted((each for each in classes if each.trained < FEW), key=lambda each: each.trained):
        names = listed([f"{each.name} ({each.trained})" for each in few])
        said.append(f"classes with fewer than {FEW} images to train on: {names}")
    both = [each for each in copies if len(each.splits) > 1]
    if both:
        said.append(
            f"{_images(both)} in another split too, the same or nearly, so that accuracy will look better than it is: "
            f"{_first(both)}"
        )
    mixed = [each for each in copies if len(each.classes) > 1]
    if mixed:
        said.append(f"{_images(mixed)} of another class too, the same or nearly: {_first(mixed)}")
    return said


def _images(copies: Sequence[Copies]) -> str:
    return f"{sum(len(each.members) for each in copies)} images are"


def _first(copies: Sequence[Copies]) -> str:
    """Some of them by name."""
    return listed([" = ".join(map(str, each.members[:3])) for each in copies], 3)
