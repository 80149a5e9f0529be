"""A bundle, labelled images that fit it, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import SUPERCLASSES, random_bundle
from click.testing import CliRunner, Result
from PIL import Image

from eas_sdk.cli.app import cli

Eas = Callable[..., Result]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with random weights; see `bundles.SUPERCLASSES` for its tasks."""
    return random_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """superclass/label.png for every label of the bundle: four patches of colour each."""
    root, rng = tmp_path_factory.mktemp("drawings"), np.random.default_rng(0)
    for task, labels in SUPERCLASSES.items():
        (root / task).mkdir()
        for label in labels:
            patches = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
            patches.resize((64, 64), Image.Resampling.NEAREST).save(root / task / f"{label}.png")
    (root / "ATTRIBUTION.md").write_text("# Drawings\n\nPatches by numpy,\npublic domain.\n\nMore words.\n")
    return root


@pytest.fixture
def eas(monkeypatch: pytest.MonkeyPatch) -> Eas:
    """Run `eas` with the given arguments; the result has exit_code, stdout and stderr."""
    monkeypatch.delenv("EAS_DEBUG", raising=False)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="eas")

    return run
