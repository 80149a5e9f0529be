"""The tables of the photo bank and of the training on photos, for `benchmarks.documents`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.record import RESULTS
from eas_train.html_page import Table

LAST = 10**9
"""The budget that pays for the largest network."""


def figures(name: str) -> dict[str, Any]:
    """The stored figures of one benchmark."""
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    found: dict[str, Any] = data["figures"]
    return found


def interval(values: Sequence[float]) -> str:
    """Per cent with its interval."""
    return "{:.1f}% ({:.1f} to {:.1f})".format(*values)


def points(values: Sequence[float]) -> str:
    """A difference with its interval."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*values)


def budget(row: dict[str, Any]) -> str:
    """As a user writes it."""
    return "all it takes" if row["budget"] >= LAST else f"{row['budget'] / 1e6:.0f}M"


def photo_budgets() -> Table:
    """What a budget buys."""
    found = figures("photo_budgets")
    columns = [
        "budget",
        "images",
        "MAdds",
        "top-1 among 1,000 (95% interval)",
        "untrained source",
        "within the superclass",
        "made for the superclass",
    ]
    cells = []
    for row in found["rows"]:
        every, untrained = row["all"], row["untrained"]
        cells.append(
            [
                budget(row),
                f"{every['input_px']} px",
                f"{every['madds'] / 1e6:.0f}M",
                interval(every["top1"]),
                f"{untrained['top1'][0]:.1f}% ({untrained['input_px']} px)",
                f"{every['within'][0]:.1f}%",
                f"{row['superclass']['within'][0]:.1f}%",
            ]
        )
    source = found["source"]
    cells.append(["the source network", "224 px", "", interval(source["top1"]), "", f"{source['within'][0]:.1f}%", ""])
    return columns, cells


def photo_random() -> Table:
    """Generated against random networks."""
    columns = ["budget", "images", "random networks", "generated", "mean of random", "difference", "the best of random"]
    found = figures("photo_random")
    cells = [
        [
            budget(row),
            f"{row['input_px']} px",
            str(row["random_networks"]),
            f"{row['generated'][0]:.1f}%",
            f"{row['random'][0]:.1f}%",
            points(row["generated_minus_random"]),
            f"{row['best_random'][0]:.1f}%",
        ]
        for row in found["rows"]
    ]
    return columns, [*cells, ["mean", "", "", "", "", points(found["mean_generated_minus_random"]), ""]]


def photo_statistics() -> Table:
    """Statistics of the device against recalibrated ones."""
    columns = ["budget", "images", "on the device", "recalibrated", "below recalibrated (points)"]
    found = figures("photo_statistics")
    cells = [
        [
            budget(row),
            f"{row['input_px']} px",
            f"{row['device'][0]:.1f}%",
            f"{row['recalibrated'][0]:.1f}%",
            points(row["device_below_recalibrated"]),
        ]
        for row in found["rows"]
    ]
    return columns, [*cells, ["mean", "", "", "", points(found["mean_device_below_recalibrated"])]]


def photo_int8() -> Table:
    """int8 against float32."""
    columns = [
        "budget",
        "images",
        "float32",
        "int8",
        "float32 minus int8 (points)",
        "same answer",
        "in the worst superclass",
    ]
    return columns, [
        [
            budget(row),
            f"{row['input_px']} px",
            f"{row['float32'][0]:.1f}%",
            f"{row['int8'][0]:.1f}%",
            points(row["float32_minus_int8"]),
            interval(row["agreement"]),
            "{1[0]:.1f}% ({0}, {1[1]} photos)".format(*min(row["agreement_by_superclass"].items(), key=lambda i: i[1])),
        ]
        for row in figures("photo_int8")["rows"]
    ]


def photo_router() -> Table:
    """The router against a network over all classes."""
    found = figures("photo_router")
    rows = {"router": found["router"] | {"madds": found["madds"]}, "network of the middle budget": found["all_classes"]}
    columns = ["what", "MAdds", "superclass from one photo (95% interval)", "area under the rejection curve"]
    return columns, [
        [name, f"{row['madds'] / 1e6:.0f}M", interval(row["top1"]), f"{row['auc']:.3f}"] for name, row in rows.items()
    ]


def photo_training() -> Table:
    """Agreement over the hours of training: about ten of the looks."""
    rows = figures("photo_training")["rows"]
    members = ("smallest", "middle", "largest")
    columns = ["hours", "steps", *(f"{m}, {rows[0][m]['madds'] / 1e6:.0f}M" for m in members), "smallest, within"]
    shown = sorted({round(i * (len(rows) - 1) / 9) for i in range(10)})
    return columns, [
        [
            f"{row['hours']:.2f}",
            str(row["step"]),
            *(f"{row[member]['top1']:.1%}" for member in members),
            f"{row['smallest']['within_superclass']:.1%}",
        ]
        for row in (rows[i] for i in shown)
    ]


def capacity() -> Table:
    """Members alone and in the supernet."""
    found = figures("capacity")
    members = found["supernet"]["members"]
    columns = [
        "network",
        "MAdds",
        "alone",
        "in the supernet",
        "alone, within the superclass",
        "in the supernet, within",
    ]
    cells = [
        [
            name,
            f"{alone['madds'] / 1e6:.1f}M",
            *(f"{each[kind]:.1%}" for kind in ("top1", "within_superclass") for each in (alone, members[name])),
        ]
        for name, alone in found["alone"].items()
    ]
    for kind, title in (("top1", "slope"), ("within", "slope within the superclass")):
        slopes = found[f"slope_{kind}"]
        cells.append(
            [
                f"{title} (points)",
                "",
                *(points([100 * v for v in slopes[way]]) for way in ("alone", "supernet")),
                "supernet / alone",
                "{:.2f} ({:.2f} to {:.2f})".format(*slopes["supernet_over_alone"]),
            ]
        )
    return columns, cells


def choices() -> Table:
    """What each choice is worth in the supernet."""
    columns = ["with all else at its most", "MAdds", "below the largest (points)", "within the superclass"]
    found = figures("capacity")["supernet"]["choices"]
    return columns, [
        [
            f"{kind} {label}",
            f"{score['madds'] / 1e6:.1f}M",
            points([100 * v for v in score["most_minus_this"]]),
            points([100 * v for v in score["most_minus_this_within"]]),
        ]
        for kind, by_label in found.items()
        for label, score in list(by_label.items())[:-1]
    ]


def suspects() -> Table:
    """One change at a time."""
    columns = [
        "variant",
        "smallest",
        "largest",
        "slope (points)",
        "residual share",
        "cosine of depthwise",
        "of projections",
    ]
    return columns, [
        [
            name,
            *(f"{row['members'][member]['top1']:.1%}" for member in ("smallest", "largest")),
            points([100 * v for v in row["slope"]["top1"]]),
            f"{row['residual_share_median']:.2f}",
            *(f"{row['cosine_median'][layer]:.2f}" for layer in ("depthwise", "project")),
        ]
        for name, row in figures("suspects")["rows"].items()
    ]


TABLES = {
    "photo-budgets": photo_budgets,
    "photo-random": photo_random,
    "photo-statistics": photo_statistics,
    "photo-int8": photo_int8,
    "photo-router": photo_router,
    "photo-training": photo_training,
    "capacity": capacity,
    "choices": choices,
    "suspects": suspects,
}
