"""Settings from TOML files, checked by pydantic: what recipes and studies are made of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from eas_sdk.errors import TrainingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Settings(BaseModel):
    """Frozen settings that know all their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_toml(kind: type[AnySettings], source: str | Path, shipped: Path, noun: str) -> AnySettings:
    """Settings from a TOML file, or from one of the folder `shipped` by its name without suffix.

    Raises:
        TrainingError: there is none, the file is no TOML, or a field is unknown or out of range.
    """
    path = Path(source)
    if path.suffix != ".toml":
        path = shipped / f"{source}.toml"
    if not path.is_file():
        names = sorted(p.stem for p in shipped.glob("*.toml"))
        raise TrainingError(f"a {noun} is a .toml file or one of {names}; got {str(source)!r}")
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError, RecursionError) as error:
        raise TrainingError(f"{path} is not a {noun}: {error}") from error
