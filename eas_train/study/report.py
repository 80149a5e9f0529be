"""What a study leaves for people: tables in the paper's form, its figures, and one HTML page with all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import MissingDependency
from eas_train import html_page
from eas_train.html_page import Table
from eas_train.study import plots

Row = Mapping[str, Any]


def write_report(figures: Mapping[str, Any], folder: Path) -> Path:
    """Write tables.md, the figures as PNG, and report.html, which needs no other file; its path.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        pictures = plots.draw_all(figures)
    except ImportError as error:
        raise MissingDependency(f"the report's figures need matplotlib ({error})", "bench") from None
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, png) in pictures.items():
        write_atomically(folder / f"{name}.png", [png])
    named = tables(figures)
    text = "\n\n".join(f"## {title}\n\n{markdown(table)}" for title, table in named.items())
    write_atomically(folder / "tables.md", [f"# Study {figures['study']}\n\n{note(figures)}\n\n{text}\n".encode()])
    path = folder / "report.html"
    write_atomically(path, [page(figures, named, pictures).encode()])
    return path


def note(figures: Mapping[str, Any]) -> str:
    """What the figures are means over."""
    return (
        f"Top-1 within the known superclass on {figures['test_drawings']} test images, {figures['views']} views each; "
        f"{len(figures['supernet_seeds'])} supernets x {len(figures['seeds'])} seeds. {figures['intervals']}. "
        f"Differences are to {figures['reference']}, paired."
    )


def tables(figures: Mapping[str, Any]) -> dict[str, Table]:
    """Title to table."""
    names = figures["superclasses"]
    full = ["budget", "method", *(f"T-{t + 1}" for t in range(len(names))), "Avg. Acc. (%)", "Avg. #MAdds (M)"]
    cells = [
        [
            row["budget"],
            row["method"],
            *(f"{100 * value:.1f}" for value in row["by_superclass"]),
            f"{100 * row['top1'][0]:.1f}",
            f"{row['mean_madds'] / 1e6:.2f}",
        ]
        for row in figures["rows"]
    ]
    return {
        "Averages over budgets": summary(figures),
        "By budget": by_budget(figures),
        "By superclass (" + ", ".join(f"T-{t + 1} {name}" for t, name in enumerate(names)) + ")": (full, cells),
        "Cost of one run": costs(figures),
        **({"How supernets rank networks": ranks(figures)} if "quality" in figures else {}),
    }


def summary(figures: Mapping[str, Any]) -> Table:
    """One line a method: accuracy over all budgets, and the difference."""
    columns = ["method", "top-1 (95% interval)", f"minus {figures['reference']} (points)"]
    rows = figures["overall"]
    return _with_all_classes(rows, columns, [[row["method"], percent(row), points(row)] for row in rows])


def by_budget(figures: Mapping[str, Any]) -> Table:
    """One line a budget and method: accuracy, and the difference."""
    columns = ["budget", "method", "MAdds (M)", "top-1 (95% interval)", f"minus {figures['reference']} (points)"]
    rows = figures["rows"]
    cells = [
        [row["budget"], row["method"], f"{row['mean_madds'] / 1e6:.2f}", percent(row), points(row)] for row in rows
    ]
    return _with_all_classes(rows, columns, cells)


def _with_all_classes(rows: Sequence[Row], columns: list[str], cells: list[list[str]]) -> Table:
    """With a column of top-1 among the classes of all superclasses, where it was measured."""
    if not all("top1_of_all" in row for row in rows):
        return columns, cells
    more = [percent(row, "top1_of_all") for row in rows]
    return [*columns, "among all classes"], [[*old, new] for old, new in zip(cells, more, strict=True)]


def costs(figures: Mapping[str, Any]) -> Table:
    """Seconds by stage."""
    stages = list(figures["costs"][0]["seconds"])
    columns = ["method", *(f"{stage} (s)" for stage in stages), "networks measured", "requests"]
    return columns, [
        [
            row["method"],
            *(f"{row['seconds'][stage]:.{1 if stage != 'pick' else 3}f}" for stage in stages),
            str(row["networks_measured"]),
            str(row["requests"]),
        ]
        for row in figures["costs"]
    ]


def ranks(figures: Mapping[str, Any]) -> Table:
    """One line a supernet: rank correlations with networks that were trained alone."""
    columns = ["supernet of", "Kendall tau (95% interval)", "Spearman rho (95% interval)"]
    twice = all("repeated" in row for row in figures["quality"])
    if twice:
        columns.append("tau of two trainings alone")
    return [*columns, "mean top-1 with its weights", "trained alone", "networks"], [
        [
            ", ".join(row["methods"]),
            *("{:.2f} ({:.2f} to {:.2f})".format(*row[name]) for name in ("kendall", "spearman")),
            *(["{:.2f} ({:.2f} to {:.2f})".format(*row["repeated"]["kendall"])] if twice else []),
            f"{row['mean_shared']:.1%}",
            f"{row['mean_alone']:.1%}",
            str(row["networks"]),
        ]
        for row in figures["quality"]
    ]


def percent(row: Row, name: str = "top1") -> str:
    """A mean with its interval, in percent."""
    mean, low, high = (100 * value for value in row[name])
    return f"{mean:.1f}% ({low:.1f} to {high:.1f})"


def points(row: Row) -> str:
    """A paired difference with its interval, in points; nothing for the reference itself."""
    if "minus_reference" not in row:
        return ""
    mean, low, high = (100 * value for value in row["minus_reference"])
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def markdown(table: Table) -> str:
    """A table in Markdown."""
    columns, rows = table
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(figures: Mapping[str, Any], named: Mapping[str, Table], pictures: Mapping[str, tuple[str, bytes]]) -> str:
    """One page with everything inside."""
    parts = [html_page.paragraph(note(figures))]
    for title, png in pictures.values():
        parts += [html_page.heading(title), html_page.picture(png, title)]
    for title, table in named.items():
        parts += [html_page.heading(title), html_page.table(table)]
    return html_page.page(f"Study {figures['study']}", parts)
