"""The README's results, made from the stored figures: two tables and a picture.

python -m benchmarks.readme           # rewrites both
python -m benchmarks.readme --check   # fails when the table is out of date
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from eas_train.study import report

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "accuracy.png"
STUDIED = ROOT / "docs" / "study" / "accuracy.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the table is out of date")
    options = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    new = replaced(replaced(text, "results", results_table()), "study", study_table())
    if options.check:
        if new != text:
            raise SystemExit("the README's results are out of date; run: python -m benchmarks.readme")
        return
    README.write_text(new, encoding="utf-8")
    draw(PICTURE)


def replaced(text: str, name: str, table: str) -> str:
    """The text with what stands between the marks of a table renewed."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n{table}\n{end}{tail}"


def study_table() -> str:
    """The methods of the study, over all budgets, in Markdown."""
    return report.markdown(report.summary(figures("study")))


def figures(name: str) -> dict[str, Any]:
    """The stored figures of one benchmark."""
    data: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    found: dict[str, Any] = data["figures"]
    return found


def results_table() -> str:
    """Accuracy by budget, then the other bars, in Markdown."""
    rows = figures("accuracy")["rows"]
    lines = [
        "| budget | mean MAdds | top-1 (95% interval) | random networks of equal MAdds | difference (95% interval) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"{row['budget_fraction']:.0%} of the range",
            f"{row['mean_madds'] / 1e6:.1f}M",
            f"{row['top1'][0]:.1%} ({row['top1'][1]:.1%} to {row['top1'][2]:.1%})",
        ]
        if "random_top1" in row:
            mean, low, high = (100 * value for value in row["generated_minus_random"])
            cells += [f"{row['random_top1'][0]:.1%}", f"{mean:+.1f} points ({low:+.1f} to {high:+.1f})"]
        else:
            cells += ["only one such network" if row["budget_fraction"] == 0 else "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(path: Path) -> None:
    """Accuracy against multiply-adds, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    everything = figures("accuracy")["rows"]
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    for key, label, colour in (("top1", "generated", "#0b6e4f"), ("random_top1", "random", "#9a9a9a")):
        rows = [row for row in everything if key in row]
        madds = [row["mean_madds"] / 1e6 for row in rows]
        mean, low, high = (percent(rows, key, i) for i in range(3))
        axes.fill_between(madds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(madds, mean, "o-", color=colour, label=f"{label} architecture for each superclass")
    axes.set_xlabel("multiply-adds of one image (millions)")
    axes.set_ylabel("top-1 within the superclass (%)")
    axes.set_title("14 superclasses of drawings by an artist never seen in training", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def percent(rows: list[dict[str, Any]], key: str, index: int) -> list[float]:
    return [100 * row[key][index] for row in rows]


if __name__ == "__main__":
    main()
