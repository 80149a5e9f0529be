"""What a training came to, for Python and for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eas_sdk
from eas_sdk.bank.shipped import OF_A_TRAINING
from eas_train import html_page


@dataclass(frozen=True, repr=False)
class Report:
    """What a training came to; a notebook shows it as tables and pictures.

    Attributes:
        folder: of the training.
        stages: what each stage that was run says, in order, as `eas train --json` prints it.
    """

    folder: Path
    stages: tuple[Mapping[str, Any], ...]

    @property
    def bundle(self) -> Path:
        """The file that `eas_sdk.load` takes."""
        return self.folder / OF_A_TRAINING

    @property
    def page(self) -> Path:
        """The file that a browser shows: accuracy by budget, superclass and class, confusions, the worst photos."""
        from eas_train.report.page import PAGE

        return self.folder / PAGE

    @property
    def test(self) -> Mapping[str, Mapping[str, float]]:
        """Of the "smallest", the "middle" and the "largest" network: `madds`, `input_px`, and the shares of test images
        that it gets right, `top1` among all classes and `top1_within_superclass`. Empty without the stage "bundle"."""
        found: Mapping[str, Mapping[str, float]] = self._last.get("test", {})
        return found

    @property
    def accuracy(self) -> list[dict[str, Any]]:
        """The accuracy table of the bundle, a row for each budget level. Empty without the stage "bundle"."""
        return list(self._last.get("accuracy", ()))

    @property
    def _last(self) -> Mapping[str, Any]:
        """What the stage "bundle" says."""
        return next((stage for stage in self.stages if stage["stage"] == "bundle"), {})

    def runtime(self) -> eas_sdk.Runtime:
        """The bundle, loaded.

        Raises:
            FileNotFoundError: the stage "bundle" was not run.
        """
        return eas_sdk.load(self.bundle)

    def __repr__(self) -> str:
        right = ", ".join(f"{name} {figures['top1']:.1%}" for name, figures in self.test.items())
        done = ", ".join(stage["stage"] for stage in self.stages) or "none"
        return f"<Report {str(self.folder)!r}: {f'top-1 of the {right}' if right else f'stages: {done}'}>"

    def _repr_html_(self) -> str:
        if self._last and self.page.is_file():
            return html_page.inline(self.page.read_text(encoding="utf-8"))
        return html_page.inline(html_page.page(str(self.folder), [html_page.paragraph(repr(self))]))
