"""Settings from TOML files, checked by pydantic: what recipes and studies are made of."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from eas_sdk.errors import TrainingError, closest
from eas_train.mistakes import told

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Settings(BaseModel):
    """Frozen settings that know all their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


AnySettings = TypeVar("AnySettings", bound=Settings)


def checked(kind: type[AnySettings], given: dict[str, Any]) -> AnySettings:
    """Settings of tables and lists as TOML has them.

    Raises:
        TrainingError: a field is unknown, missing or out of range; it names the first.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise TrainingError(told(kind, given, error)) from None


def read_toml(kind: type[AnySettings], source: str | Path, shipped: Path, noun: str) -> AnySettings:
    """Settings from a TOML file, or from one of the folder `shipped` by its name without suffix.

    Raises:
        TrainingError: there is none, the file is no TOML, or a field is unknown, missing or out of range.
    """
    path = Path(source)
    if path.suffix != ".toml":
        path = shipped / f"{source}.toml"
    if not path.is_file():
        names = sorted(p.stem for p in shipped.glob("*.toml"))
        raise TrainingError(
            f"a {noun} is a .toml file, or one that ships; got {str(source)!r}; {closest(source, names)}"
        )
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return checked(kind, tomllib.loads(text))
    except TrainingError as error:
        raise TrainingError(f"{path} is not a {noun}: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TrainingError(f"{path} is not a {noun}, as it is no TOML: {error}{_line(text, str(error))}") from error


def _line(text: str, error: str) -> str:
    """The line of `text` that an error names."""
    found = re.search(r"at line (\d+)", error)
    return f": {text.splitlines()[int(found[1]) - 1].strip()}" if found else ""
