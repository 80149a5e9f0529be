"""`report.html`: what a training came to, on one page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.bundle import Bundle
from eas_train import html_page
from eas_train.data.fixed_views import fixed_views
from eas_train.data.splits import Images
from eas_train.report.judge import Judged, confused
from eas_train.study.plots import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
WORST = 24
CONFUSED = 12
THUMBNAIL = 96
MOST_CLASSES = 60
"""That a picture of who is taken for whom has room for."""


def write_page(folder: Path, bundle: Bundle, judged: Sequence[Judged], test: Images, diagnosis: Path | None) -> Path:
    """Write the page; its path.

    Args:
        judged: of the smallest to the largest budget, on `test`.
        diagnosis: the picture of whether capacity is used, where there is one.
    """
    most = judged[-1]
    names = [name for superclass in most.superclasses for name in superclass.class_names]
    pairs = [[*pair, str(count)] for *pair, count in confused(most, CONFUSED)]
    parts = [
        html_page.paragraph(
            f"{len(most.targets)} test images of {len(names)} classes in {len(most.superclasses)} superclasses, which "
            "neither the training nor any choice has seen."
        ),
        html_page.table(_budgets(judged)),
        html_page.picture(png(_accuracy(judged)), "accuracy against multiply-adds"),
        html_page.heading("By superclass"),
        html_page.table(_by_superclass(judged)),
        html_page.heading("By class, the weakest first"),
        html_page.table(_by_class(judged, names)),
        html_page.heading("Taken for one another by the largest network"),
        html_page.table((["shown", "said", "images"], pairs)),
    ]
    if len(names) <= MOST_CLASSES:
        parts.append(html_page.picture(png(_confusion(most, names)), "what is shown and what is said"))
    parts += [html_page.heading("Wrong, and surest of it"), *_worst(most, test, names)]
    if diagnosis is not None and diagnosis.is_file():
        parts += [html_page.heading("Whether capacity is used"), html_page.picture(diagnosis.read_bytes(), "diagnosis")]
    parts += [html_page.heading("Next"), html_page.code(_commands(folder, bundle))]
    path = folder / PAGE
    write_atomically(path, [html_page.page(bundle.name, parts).encode()])
    return path


def _budgets(judged: Sequence[Judged]) -> html_page.Table:
    columns = ["network", "images", "multiply-adds", "top-1 (95% interval)", "within the superclass"]
    return columns, [
        [each.name, f"{each.input_px} px", f"{each.madds / 1e6:.1f}M", _interval(each.right), _interval(each.within)]
        for each in judged
    ]


def _interval(right: npt.NDArray[np.bool_]) -> str:
    """A share with its interval (normal), in per cent."""
    mean = float(right.mean())
    half = 1.96 * (mean * (1 - mean) / len(right)) ** 0.5
    return f"{mean:.1%} ({max(mean - half, 0):.1%} to {min(mean + half, 1):.1%})"


def _by_superclass(judged: Sequence[Judged]) -> html_page.Table:
    rows, first = [], 0
    for superclass in judged[-1].superclasses:
        end = first + len(superclass.class_names)
        mine = (judged[-1].targets >= first) & (judged[-1].targets < end)
        shares = [f"{each.within[mine].mean():.1%}" if mine.any() else "" for each in judged]
        rows.append([superclass.name, str(end - first), str(int(mine.sum())), *shares])
        first = end
    return ["superclass", "classes", "images", *(f"{each.name}, within" for each in judged)], rows


def _by_class(judged: Sequence[Judged], names: Sequence[str]) -> html_page.Table:
    shares = [each.by_class() for each in judged]
    order = np.argsort(np.nan_to_num(shares[-1], nan=2.0), kind="stable")
    counts = np.bincount(judged[-1].targets, minlength=len(names))
    return ["class", "images", *(each.name for each in judged)], [
        [names[c], str(counts[c]), *("" if np.isnan(share[c]) else f"{share[c]:.0%}" for share in shares)]
        for c in order
    ]


def _worst(judged: Judged, test: Images, names: Sequence[str]) -> list[str]:
    """Thumbnails of the images that the network is most sure and wrong about."""
    index = judged.worst(WORST)
    if not len(index):
        return [html_page.paragraph("None.")]
    images, _ = fixed_views(test.take(index), 1, THUMBNAIL, torch.device("cpu"))
    made = []
    for i, pixels in zip(index, images.permute(0, 2, 3, 1).numpy(), strict=True):
        shown, said = names[judged.targets[i]], names[judged.said[i]]
        text = f"{shown}; said: {said}, {judged.probabilities[i].max():.0%}"
        made.append(html_page.captioned(html_page.photo(pixels, shown), text))
    return made


def _commands(folder: Path, bundle: Bundle) -> str:
    """What to type next."""
    file, task = folder / "bundle.safetensors", bundle.superclasses[0].name
    return "\n".join(
        [
            f"eas info --bundle {file}",
            f"eas predict photo.jpg --bundle {file}",
            f'eas export "{task}" 50% -o model.tflite --bundle {file}',
            f"eas diagnose {folder}",
        ]
    )


def _accuracy(judged: Sequence[Judged]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    madds = [each.madds / 1e6 for each in judged]
    for label, colour, hits in (
        ("among all classes", "#0b6e4f", [each.right for each in judged]),
        ("within the superclass", "#9a9a9a", [each.within for each in judged]),
    ):
        mean = np.array([each.mean() for each in hits])
        half = 1.96 * np.sqrt(mean * (1 - mean) / [len(each) for each in hits])
        axes.errorbar(madds, 100 * mean, 100 * half, fmt="o-", color=colour, capsize=2, label=label)
    axes.set_xlabel("multiply-adds of one image (millions)")
    axes.set_ylabel("top-1 on test images (%)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _confusion(judged: Judged, names: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    table = judged.confusion()
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 2.5 + 0.22 * len(names)
    figure = Figure(figsize=(side + 0.8, side), dpi=100, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    for axis in (axes.set_xticks, axes.set_yticks):
        axis(range(len(names)), names, fontsize=8)
    axes.tick_params(axis="x", rotation=90)
    axes.set_xlabel("said")
    axes.set_ylabel("shown")
    figure.colorbar(image, ax=axes, label="share of the class's images")
    return figure
