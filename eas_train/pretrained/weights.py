"""Files of published weights: what torch.save wrote, or safetensors."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from eas_sdk.errors import DataError, InputError, MissingDependency
from eas_train.pretrained.sources import Source

NESTED = ("state_dict", "model", "model_state_dict")
"""Under what training scripts put the state dict in a checkpoint of theirs."""


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file, by name. Nothing in it is executed.

    Raises:
        DataError: the file is none of these, or holds something else than tensors.
        OSError: it cannot be read.
    """
    file = Path(path)
    with file.open("rb"):
        pass  # what the system says of a path that is missing, or a folder
    try:
        if file.suffix == ".safetensors":
            loaded: object = importlib.import_module("safetensors.torch").load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise MissingDependency(f"reading {file.name} needs safetensors ({error})", "train") from None
    except Exception as error:  # damaged files make both readers raise anything at all, with advice to trust them
        raise DataError(
            f"published weights are a state dict of tensors by torch.save, or .safetensors; {file} is neither, or "
            "holds more than tensors, which is not read"
        ) from error
    for key in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise DataError(f"published weights are a state dict, tensors by name; {file} holds a {type(loaded).__name__}")
    return {str(name): tensor for name, tensor in loaded.items()}


def packaged(name: str, source: Source) -> Path:
    """The file that a source's package carries.

    Raises:
        InputError: the source has no package.
        MissingDependency: it is not installed.
    """
    if not source.package:
        raise InputError(
            f"the weights of {name!r} come in no package: download them from their authors, and name the file "
            "(--weights FILE)"
        )
    try:
        module = importlib.import_module(source.package.replace("-", "_"))
    except ImportError:
        raise MissingDependency(
            f"the weights of {name!r} come with the package {source.package}, which is not installed", "lite0"
        ) from None
    found = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if len(found) != 1:
        raise DataError(f"the package {source.package} carries one .pth file; found {[file.name for file in found]}")
    return found[0]
