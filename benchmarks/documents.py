"""The results in the documents, made from the stored figures: tables between marks, and the README's picture.

python -m benchmarks.documents           # rewrites both
python -m benchmarks.documents --check   # fails where a table is out of date

A table stands between the comments `<!-- NAME: begin -->` and `<!-- NAME: end -->` of README.md or a page of docs/.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import photo_documents
from benchmarks.photo_documents import figures
from eas_sdk.graph.cost import cost
from eas_sdk.space.presets import PRESETS
from eas_train.html_page import Table
from eas_train.study import report

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PICTURE = ROOT / "docs" / "accuracy.png"
MARKED = re.compile(r"(<!-- (?P<name>[\w-]+): begin -->\n).*?(<!-- (?P=name): end -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a table is out of date")
    options = parser.parse_args()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = renewed(text)
        if new != text and options.check:
            raise SystemExit(
                f"the results in {page.relative_to(ROOT)} are out of date; run: python -m benchmarks.documents"
            )
        page.write_text(new, encoding="utf-8")
    if not options.check:
        draw(PICTURE)


def renewed(text: str) -> str:
    """The text with all of its tables made afresh."""
    return MARKED.sub(lambda found: found[1] + report.markdown(TABLES[found["name"]]()) + "\n" + found[3], text)


def percents(values: Sequence[float]) -> str:
    """A share with its interval."""
    return "{:.1f}% ({:.1f} to {:.1f})".format(*(100 * value for value in values))


def accuracy() -> Table:
    """The shipped bundle by budget, against random networks."""
    interval = "(95% interval)"
    columns = ["budget", "mean MAdds", f"top-1 {interval}", "random networks of equal MAdds", f"difference {interval}"]
    cells = []
    for row in figures("accuracy")["rows"]:
        line = [
            f"{row['budget_fraction']:.0%} of the range",
            f"{row['mean_madds'] / 1e6:.1f}M",
            percents(row["top1"]),
        ]
        if "random_top1" in row:
            mean, low, high = (100 * value for value in row["generated_minus_random"])
            line += [f"{row['random_top1'][0]:.1%}", f"{mean:+.1f} points ({low:+.1f} to {high:+.1f})"]
        else:
            line += ["only one such network" if row["budget_fraction"] == 0 else "", ""]
        cells.append(line)
    return columns, cells


def filtering() -> Table:
    """GreedyNAS's filter against its Theorem 1."""
    found = figures("greedy")
    columns = ["paths", "drawn, good", "accepted, good", "a perfect filter", "at least k good", "rank correlation"]
    names = ("drawn_good", "accepted_good", "perfect_filter_good", "at_least_k_good")
    cells = [
        [way, *(percents(row[name]) for name in names), "{:.2f} ({:.2f} to {:.2f})".format(*row["rank_correlation"])]
        for way, row in found["ways"].items()
    ]
    theorem = found["theorem"]
    even = f"{theorem['q']:.0%}"
    return columns, [*cells, ["Theorem 1, even draws", even, "", "", f"{theorem['at_least_k_good']:.1%}", ""]]


def rounds() -> Table:
    """NSE's fronts, round by round."""
    found = figures("rounds")
    columns = ["supernet", "round", "front", f"its costs ({found['unit']})", "branches", "validation", "unseen artist"]
    columns.append("its best, trained alone")
    return columns, [
        [
            str(each["supernet_seed"]),
            str(row["round"]),
            str(row["front"]),
            "{:.1f} to {:.1f}".format(*row["cost"]),
            f"{row['branches']:.1f}",
            f"{row['validation_top1']:.1%}",
            percents(row["test_top1"]),
            ", ".join(f"{share:.1%}" for share in row["alone_top1_of_the_best"]),
        ]
        for each in found["seeds"]
        for row in each["rounds"]
    ]


def strategy_bundles() -> Table:
    """The methods' bundles through engines and exporters."""
    columns = ["engine or file", *(name for name in figures("strategy_bundles"))]
    grids = [each["grid"]["rows"] for each in figures("strategy_bundles").values()]
    return columns, [
        [name, *(f"{grid[name]['greatest_error']:.1g}, {grid[name]['least_top1_agreement']:.0%}" for grid in grids)]
        for name in grids[0]
    ]


def lite0() -> Table:
    """The published EfficientNet-Lite0 at its input sizes."""
    space, found = PRESETS["lite0"], figures("lite0")["accuracy"]["top1"]
    cells = []
    for size in space.input_sizes:
        nodes = space.structure(dataclasses.replace(space.largest, input_size=size), 1000)
        row = [found[f"numpy, {size} px"][name] for name in ("mean", "low", "high")]
        cells.append([f"{size} px", f"{cost(nodes).madds / 1e6:.0f}M", percents(row)])
    row = [found["source, 224 px"][name] for name in ("mean", "low", "high")]
    return ["images", "MAdds", "top-1 among 1,000 (95% interval)"], [
        *cells,
        ["224 px, by the package that publishes it", "", percents(row)],
    ]


def lite0_choices() -> Table:
    """What each choice of `lite0` costs untrained."""
    found = figures("lite0_choices")["channels sorted"]
    return ["departs from the published network by", "MAdds", "answers as it does"], [
        [name, f"{row['madds'] / 1e6:.0f}M", f"{row['agreement']:.0%}"] for name, row in found.items()
    ]


def size_statistics() -> Table:
    """The published network's answers under statistics that know the input size."""
    found = figures("size_statistics")["published"]
    names = ("published", "gates", "per size", "recorded anew")
    return ["images", *names], [[f"{size} px", *(f"{row[name]:.0%}" for name in names)] for size, row in found.items()]


def arm() -> Table:
    """Engines and files on an emulated ARM processor."""
    columns = [
        "engine, or file by its runtime",
        "greatest difference of a probability",
        "same label",
        "in the worst network",
    ]
    found = figures("arm")
    return columns, [
        [
            name if kind == "files" else f"engine `{name}`",
            f"{row['greatest_difference']:.1g}",
            f"{row['mean_top1_agreement']:.0%}",
            f"{row['least_top1_agreement']:.0%}",
        ]
        for kind in ("engines", "files")
        for name, row in found[kind].items()
    ]


def clients() -> Table:
    """Exported files in other programs."""
    found = figures("clients")["clients"]
    kinds = list(dict.fromkeys(kind for by_kind in found.values() for kind in by_kind))
    return ["read by", *kinds], [
        [name, *(_client(by_kind.get(kind)) for kind in kinds)] for name, by_kind in found.items()
    ]


def _client(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "refused" in row:
        return "refused"
    pieces = row["pieces"]
    return f"{row['mean_top1_agreement']:.0%}" + (f", {pieces} pieces" if pieces not in (None, 1) else "")


TABLES: dict[str, Callable[[], Table]] = {
    "arm": arm,
    "clients": clients,
    "lite0": lite0,
    "lite0-choices": lite0_choices,
    "size-statistics": size_statistics,
    "results": accuracy,
    "study": lambda: report.summary(figures("study")),
    "dropout": lambda: report.summary(figures("study_dropout")),
    "strategies": lambda: report.summary(figures("strategies")),
    "strategies-by-budget": lambda: report.by_budget(figures("strategies")),
    "strategies-costs": lambda: report.costs(figures("strategies")),
    "strategies-ranks": lambda: report.ranks(figures("strategies")),
    "ablations-ranks": lambda: report.ranks(figures("strategies_ablations")),
    "ablations": lambda: report.summary(figures("strategies_ablations")),
    "filtering": filtering,
    "rounds": rounds,
    "strategy-bundles": strategy_bundles,
    **photo_documents.TABLES,
}


def draw(path: Path) -> None:
    """Accuracy against multiply-adds: the photo bank, and the network that it comes from at smaller images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = figures("photo_budgets")["rows"]
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    lines = (("all", "generated, for all 1,000 classes", "#0b6e4f"), ("untrained", "the untrained source", "#9a9a9a"))
    for key, label, colour in lines:
        madds = [row[key]["madds"] / 1e6 for row in rows]
        mean, low, high = ([row[key]["top1"][i] for row in rows] for i in range(3))
        axes.fill_between(madds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(madds, mean, "o-", color=colour, label=label)
    axes.set_xlabel("multiply-adds of one image (millions)")
    axes.set_ylabel("top-1 among 1,000 classes (%)")
    axes.set_title("a thousand photos that were taken after ImageNet", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    main()
