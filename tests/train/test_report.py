"""The page of a training: figures that add up, pictures inside, and what to type next."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import CPU, SIZES, drawings, photos, random_bundle  # noqa: E402

from eas_train.bundle import save  # noqa: E402
from eas_train.data.imageset import Superclass  # noqa: E402
from eas_train.report.judge import Judged, confused, judge  # noqa: E402
from eas_train.report.page import write_page  # noqa: E402

NAMES = ("a", "b", "c", "d")
SUPERCLASSES = (Superclass("first", NAMES[:2]), Superclass("second", NAMES[2:]))
JUDGED = Judged(
    "largest",
    5_000_000,
    32,
    np.array([0, 0, 1, 2, 2]),
    np.array([[7, 1, 1, 1], [1, 2, 6, 1], [1, 2, 6, 1], [1, 1, 7, 1], [0, 9, 0, 1]], np.float32) / 10,
    SUPERCLASSES,
)


def test_what_is_right_and_what_is_taken_for_what() -> None:
    assert JUDGED.right.tolist() == [True, False, False, True, False]
    assert JUDGED.within.tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(JUDGED.by_class(), [0.5, 0, 0.5, np.nan])
    assert JUDGED.confusion().sum() == 5
    assert sorted(confused(JUDGED, 9)) == [("a", "c", 1), ("b", "c", 1), ("c", "b", 1)]
    assert JUDGED.worst(2).tolist() == [4, 1], "surest first"


def test_the_networks_are_those_of_the_budgets_and_the_figures_those_of_the_images() -> None:
    bundle, test = random_bundle(SIZES), drawings(4, 3, 48)
    judged = judge(bundle, test, CPU)
    assert [each.name for each in judged] == ["smallest", "middle", "largest"]
    assert sorted(each.madds for each in judged) == [each.madds for each in judged]
    for each in judged:
        np.testing.assert_allclose(each.probabilities.sum(1), 1, rtol=1e-5)
        assert each.figures()["top1"] == pytest.approx(each.right.mean(), abs=1e-4)
        assert each.within.sum() >= each.right.sum()


@pytest.mark.parametrize("kind", ["drawings", "photos"])
def test_the_page_has_everything_inside(kind: str, tmp_path: Path) -> None:
    bundle = random_bundle(SIZES)
    save(bundle, tmp_path / "bundle.safetensors")
    test = drawings(4, 3, 48) if kind == "drawings" else photos(tmp_path / "photos", 3)
    judged = judge(bundle, test, CPU)
    page = write_page(tmp_path, bundle, judged, test, None).read_text(encoding="utf-8")
    assert page.count("<figure>") == len(judged[-1].worst(24)) > 0
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"""(src|href)=['"]?http""", page)
    for text in ("solids", "red disc", f"{judged[-1].right.mean():.1%}", f"--bundle {tmp_path / 'bundle.safetensors'}"):
        assert text in page


def test_names_are_text(tmp_path: Path) -> None:
    odd = drawings(2, 0, 48)
    bundle = random_bundle(SIZES)
    judged = judge(bundle, odd, CPU)
    evil = (Superclass("<b>x</b>", ("<script>", *odd.classes[1:3])), odd.superclasses[1])
    named = [Judged(j.name, j.madds, j.input_px, j.targets, j.probabilities, evil) for j in judged]
    page = write_page(tmp_path, bundle, named, odd, None).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
