"""Where a training computes."""

from __future__ import annotations

import torch

from eas_sdk.errors import InputError, closest

DEVICES = ("auto", "cpu", "cuda")


def torch_device(name: str) -> torch.device:
    """The device of an option `--device`; "auto" is CUDA where there is any.

    Raises:
        InputError: there is no device of this name, or CUDA is asked for, and there is none.
    """
    if name not in DEVICES:
        raise InputError(f"a device is one of {DEVICES}; got {name!r}; {closest(name, DEVICES)}")
    cuda = torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise InputError("--device cuda needs a CUDA device that torch can use, and there is none; use cpu or auto")
    return torch.device("cuda" if cuda and name != "cpu" else "cpu")
