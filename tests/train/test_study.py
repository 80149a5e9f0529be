"""Studies: what a configuration says, what is shared between methods, resuming, intervals, tables and figures."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from train.tiny import CPU  # noqa: E402

from eas_sdk.errors import DataError, TrainingError  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.backbones import SMALL  # noqa: E402
from eas_train.data.imageset import superclass_of_class  # noqa: E402
from eas_train.data.source import Source  # noqa: E402
from eas_train.pipeline import Training  # noqa: E402
from eas_train.study import run  # noqa: E402
from eas_train.study.command import study as run_command  # noqa: E402
from eas_train.study.compare import figures as compare  # noqa: E402
from eas_train.study.compare import interval, similarity  # noqa: E402
from eas_train.study.config import SHIPPED, Study  # noqa: E402
from eas_train.study.quality import Ranked, Shown, correlations, rank, repeated  # noqa: E402
from eas_train.study.run import run_study  # noqa: E402
from eas_train.supernet.evaluate import calibrate  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.norm import FixedStatistics  # noqa: E402

RECIPE = """
name = "tiny"
[supernet]
preset = "small"
batch_size = 4
phases = [
  { name = "teacher", steps = 1, learning_rate = 0.01, image_size = 16, largest_only = true },
  { name = "sandwich", steps = 1, learning_rate = 0.01, image_size = 16, networks = 2, sandwich = true },
]
[statistics]
networks = 2
images = 4
[predictor]
networks = 11
views = 1
[generator]
objective = "predictor"
steps = 2
budgets = 2
[search]
population = 4
generations = 2
epochs = 2
hidden = [8]
[bundle]
samples = 2
"""
STUDY = """
name = "tiny"
recipe = "{recipe}"
budgets = [0.2, 0.8]
supernet_seeds = [0, 1]
seeds = [0, 1]
views = 1
recalibration_images = 4
reference = "EAS"
[quality]
networks = 3
trainings = 2
steps = 1
image_size = 16
recalibration_images = 4
[supernets.dropout]
superclass_dropout = 0.5
[supernets.none]
[[methods]]
name = "EAS"
[[methods]]
name = "OFA-T"
settings = {{ selector = "search" }}
[[methods]]
name = "Random"
settings = {{ selector = "random" }}
[[methods]]
name = "EAS, q = 0, recalibrated"
supernet = "none"
statistics = "recalibrated"
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, a study, and images."""
    made = tmp_path_factory.mktemp("study")
    (made / "recipe.toml").write_text(RECIPE)
    (made / "study.toml").write_text(STUDY.format(recipe=(made / "recipe.toml").as_posix()))
    draw_images(made / "images")
    return made


def draw_images(root: Path) -> None:
    """superclass/class/ folders of four images of noise each."""
    rng = np.random.default_rng(0)
    for folder in ("birds/duck", "birds/owl", "tools/axe", "tools/saw"):
        (root / folder).mkdir(parents=True)
        for name in "abcd":
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{name}.png")


@pytest.fixture(scope="module")
def figures(root: Path) -> dict[str, Any]:
    """Of the finished study."""
    return run_command(str(root / "study.toml"), Source(root / "images"), root / "out", "cpu", jobs=1, margin=0)


def times(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_every_method_and_budget_has_a_row_with_intervals(figures: dict[str, Any]) -> None:
    names = ["EAS", "OFA-T", "Random", "EAS, q = 0, recalibrated"]
    assert [(row["budget"], row["method"]) for row in figures["rows"]] == [
        (b, n) for b in ("20%", "80%") for n in names
    ]
    for row in figures["rows"]:
        mean, low, high = row["top1"]
        assert 0 <= low <= mean <= high <= 1
        assert mean == pytest.approx(np.mean(row["by_superclass"]), abs=1e-3)
        assert ("minus_reference" in row) == (row["method"] != "EAS")
        assert -1 <= row["similarity"] <= 1.0001
    spent = {(row["method"], row["budget"]): row["mean_madds"] for row in figures["rows"]}
    for name in ("EAS", "Random"):  # a menu may know of nothing better that costs more
        assert spent[name, "20%"] < spent[name, "80%"]
    for cost in figures["costs"]:
        assert set(cost["seconds"]) == {"supernet", "statistics", "predictor", "selector", "pick"}
        assert cost["seconds"]["supernet"] > 0
        assert (cost["networks_measured"] > 0) == (cost["method"] != "Random")
    json.dumps(figures, allow_nan=False)


def test_supernets_are_ranked_against_networks_trained_alone(root: Path, figures: dict[str, Any]) -> None:
    assert [row["methods"] for row in figures["quality"]] == [["EAS", "OFA-T", "Random"], ["EAS, q = 0, recalibrated"]]
    for row in figures["quality"]:
        assert row["networks"] == 3
        assert row["alone_seconds"] > 0
        for name in ("kendall", "spearman"):
            for mean, low, high in (row[name], row["repeated"][name]):
                assert -1 <= low <= mean <= high <= 1
    alone = list((root / "out" / "alone").iterdir())
    assert len(alone) == 6, "both supernets are compared with the same networks"
    assert {p.name for each in alone for p in each.iterdir()} <= {"accuracy.json", "supernet.jsonl"}


def test_networks_are_judged_at_the_size_that_they_were_trained_at(
    root: Path, figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Study.read(root / "study.toml")
    assert plan.quality is not None
    recipe = plan.training_recipe(plan.methods[0], 0, 0)
    training = Training(recipe, Source(root / "images").load(64)[0], root / "out" / "stages", CPU, shared=True)
    sizes: list[tuple[int, ...]] = []
    accuracy, forward = Shown.accuracy, Supernet.forward

    def seen(self: Shown, net: Supernet, architecture: Architecture) -> float:
        with pytest.MonkeyPatch.context() as patch:
            taken: set[int] = set()

            def spy(net: Supernet, images: torch.Tensor, *rest: Any) -> torch.Tensor:
                taken.add(images.shape[-1])
                return forward(net, images, *rest)

            patch.setattr(Supernet, "forward", spy)
            found = accuracy(self, net, architecture)
        sizes.append((self.images.shape[-1], self.calibration.shape[-1], *taken))
        return found

    monkeypatch.setattr(Shown, "accuracy", seen)
    rank(training, plan.quality, plan.views, tmp_path)
    assert sizes == [(64, 64, 64)] * 3 + [(16, 16, 16)] * 6, "in the supernet, and alone"


def test_rank_correlations_of_the_like_the_contrary_and_the_constant() -> None:
    alone = np.linspace(0, 1, 12).tolist()
    same, contrary, constant = (Ranked(shared, [alone], 1.0, 1.0) for shared in (alone, alone[::-1], [0.5] * 12))
    assert correlations([same])["kendall"][0] == correlations([same, same])["spearman"][0] == 1
    assert correlations([contrary])["spearman"][0] == -1
    assert correlations([constant])["kendall"] == (0, 0, 0)
    thrice = Ranked(alone, [alone, alone, alone[::-1]], 1.0, 1.0)
    assert correlations(repeated([thrice]))["kendall"][0] == pytest.approx((1 - 1 - 1) / 3, abs=1e-4), "of all pairs"
    mean, low, high = correlations([same, contrary])["kendall"]
    assert mean == pytest.approx(0)
    assert low < -0.8
    assert high > 0.8


def test_supernets_judged_on_the_same_networks_say_no_more_of_these_networks() -> None:
    rng = np.random.default_rng(0)
    one = Ranked(rng.random(20).tolist(), [rng.random(20).tolist()], 1.0, 1.0)
    (_, low, high), (_, low_of_two, high_of_two) = (correlations([one] * n)["kendall"] for n in (1, 2))
    assert high_of_two - low_of_two > 0.9 * (high - low)


def test_stages_are_done_once_for_all_methods_that_share_them(root: Path, figures: dict[str, Any]) -> None:
    counts: dict[str, int] = {}
    for path in (root / "out" / "stages").iterdir():
        stage = path.name.rpartition("-")[0]
        counts[stage] = counts.get(stage, 0) + 1
    # Two supernets x two seeds of the teacher; two seeds after each; EAS twice, a search, and chance.
    assert counts == {"teacher": 2, "supernet": 4, "statistics": 8, "predictor": 8, "selector": 16}
    assert len(list((root / "out" / "runs").iterdir())) == 16


def test_budgets_may_be_multiply_adds(root: Path, figures: dict[str, Any], tmp_path: Path) -> None:
    plan = Study.read(root / "study.toml")
    plan = plan.model_copy(update={"madds": (5_000_000,), "methods": plan.methods[::2], "quality": None})
    shutil.copytree(root / "out" / "stages", tmp_path / "stages")
    runs = run_study(plan, Source(root / "images"), tmp_path, margin=0)
    assert max(madds for run in runs for madds in run.madds[0]) <= 5_000_000
    data, _, _ = Source(root / "images").load(64)
    owner = superclass_of_class(data.superclasses)[data.test.targets]
    made = compare(plan, runs, ["birds", "tools"], owner, {method.name: SMALL for method in plan.methods})
    assert [row["budget"] for row in made["rows"]] == ["5.00M"] * 2
    for row, overall in zip(made["rows"], made["overall"], strict=True):
        assert row["top1"] == overall["top1"], "of one budget, the average is itself"
        assert row["top1_of_all"] == overall["top1_of_all"]
        assert 0 < row["top1_of_all"][0] <= row["top1"][0], "more classes are not easier"


def test_figures_need_runs_and_ranks_and_no_weights(root: Path, figures: dict[str, Any], tmp_path: Path) -> None:
    for kept in ("runs", "shared", "alone"):
        shutil.copytree(root / "out" / kept, tmp_path / kept)
    again = run_command(str(root / "study.toml"), Source(root / "images"), tmp_path, "cpu", jobs=1, margin=0)
    assert again == figures
    assert not (tmp_path / "stages").exists()
    damaged = next((tmp_path / "shared").iterdir())
    damaged.write_text(damaged.read_text()[:-9])
    with pytest.raises(TrainingError, match=re.escape(f"{damaged} is damaged")):
        run_command(str(root / "study.toml"), Source(root / "images"), tmp_path, "cpu", jobs=1, margin=0)


def test_a_finished_study_does_nothing_and_a_lost_run_is_made_again_alike(root: Path, figures: dict[str, Any]) -> None:
    stages = times(root / "out" / "stages")
    runs = sorted((root / "out" / "runs").iterdir())
    kept, lost = json.loads(runs[0].read_text()), times(root / "out" / "runs")
    arguments = (str(root / "study.toml"), Source(root / "images"), root / "out", "cpu")
    assert run_command(*arguments, jobs=1, margin=0) == figures
    assert times(root / "out" / "runs") == lost
    runs[0].unlink()
    run_command(*arguments, jobs=1, margin=0)
    again = json.loads(runs[0].read_text())
    assert {**again, "seconds": 0} == {**kept, "seconds": 0}
    assert times(root / "out" / "stages") == stages
    runs[0].write_text("{")
    with pytest.raises(TrainingError, match=r"damaged.*delete"):
        run_command(*arguments, jobs=1, margin=0)
    runs[0].write_text(json.dumps(kept))


def test_processes_find_what_one_finds(root: Path, figures: dict[str, Any], tmp_path: Path) -> None:
    plan = Study.read(root / "study.toml").model_copy(update={"seeds": (0,)})
    plan = plan.model_copy(update={"methods": plan.methods[:1]})
    source = Source(root / "images")
    alone = run_study(plan, source, root / "out", jobs=1, margin=0)
    together = run_study(plan, source, tmp_path, jobs=2, margin=0)
    assert [(r.supernet_seed, r.architectures, r.scores) for r in together] == [
        (r.supernet_seed, r.architectures, r.scores) for r in alone
    ]
    assert (tmp_path / "supernet-seed-1.log").read_text().startswith("EAS: supernet seed 1, seed 0")


def test_recalibrated_networks_run_on_statistics_of_their_own(root: Path, figures: dict[str, Any]) -> None:
    plan = Study.read(root / "study.toml")
    data, _, _ = Source(root / "images").load(64)
    norms = {}
    for method in plan.methods[-1], plan.methods[-1].model_copy(update={"statistics": "bundle"}):
        recipe = plan.training_recipe(method, 0, 0)
        training = Training(recipe, data, root / "out" / "stages", CPU, shared=True)
        norms[method.statistics] = run.norm(plan, method, training)(SMALL.smallest)
    images = training.training_images(plan.recalibration_images)(0)
    expected = calibrate(training.net, SMALL.smallest, images)
    assert isinstance(norms["recalibrated"], FixedStatistics)
    torch.testing.assert_close(norms["recalibrated"].lookup("head"), expected["head"])
    assert not torch.allclose(norms["bundle"].lookup("head"), expected["head"])


def test_a_failure_in_one_process_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is neither"):
        run_study(Study.read(root / "study.toml"), Source(tmp_path / "none"), tmp_path / "out", jobs=2)


def test_the_report_shows_all_tables_and_figures_in_one_file(root: Path, figures: dict[str, Any]) -> None:
    page = (root / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert not re.search(r"""(src|href)=['"]?http""", page)
    for text in ("T-1 birds", "Avg. #MAdds (M)", "EAS, q = 0, recalibrated", "Cost of one run"):
        assert text in page
    tables = (root / "out" / "tables.md").read_text()
    row = figures["rows"][1]
    assert f"{100 * row['top1'][0]:.1f}% (" in tables
    stored = json.loads((root / "out" / "results.json").read_text())
    assert {**stored, "costs": 0} == {**json.loads(json.dumps(figures)), "costs": 0}
    for name in ("accuracy", "similarity", "budgets", "superclasses"):
        with Image.open(root / "out" / f"{name}.png") as picture:
            assert picture.width > 400


def test_an_interval_covers_drawings_supernets_and_seeds() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat([0, 1], [40, 10])
    alike = np.broadcast_to((rng.random(50) < 0.7).astype(float), (2, 3, 50))
    mean, low, high = interval(alike, owner)
    assert mean == pytest.approx((alike[0, 0, :40].mean() + alike[0, 0, 40:].mean()) / 2, abs=1e-3)
    assert 0.1 < high - low < 0.4
    constant = np.full((2, 3, 50), 0.5)
    assert interval(constant, owner) == (0.5, 0.5, 0.5)
    supernets = constant + np.array([-0.1, 0.1])[:, None, None]
    assert interval(supernets, owner) == (0.5, 0.4, 0.6)
    seeds = constant + np.array([-0.1, 0.0, 0.1])[:, None]
    _, low, high = interval(seeds, owner)
    assert 0.4 < low < 0.46
    assert 0.54 < high < 0.6


def test_alike_architectures_have_similarity_one() -> None:
    small, large = str(SMALL.smallest), str(SMALL.largest)
    assert similarity(SMALL, [small, small, small]) == pytest.approx(1)
    assert similarity(SMALL, [small]) == 1
    assert similarity(SMALL, [small, large]) == pytest.approx(0)  # no kernel and no ratio in common


def test_the_shipped_studies_can_be_read_and_all_their_recipes_made() -> None:
    for path in SHIPPED.glob("*.toml"):
        plan = Study.read(path.stem)
        recipes = {m.name: plan.training_recipe(m, 5, 7) for m in plan.methods}
        for recipe in recipes.values():
            assert recipe.supernet.seed == 5
            sections = (recipe.statistics, recipe.predictor, recipe.generator, recipe.search, recipe.nsga2)
            assert {section.seed for section in sections} == {7}
            for section in (recipe.search, recipe.nsga2):
                assert section.madds == plan.madds
                assert plan.madds or section.budgets == plan.budgets
    plan = Study.read("emoji")
    dropped = {m.name: plan.training_recipe(m, 0, 0).supernet.phases for m in plan.methods}
    assert {p.superclass_dropout for p in dropped["EAS, q = 1"][1:]} == {1.0}
    assert dropped["EAS, q = 1"][0] == dropped["EAS"][0]  # one teacher for all
    assert dropped["EAS, q = 1"][0].superclass_dropout == 0
    whole, plan = Study.read("strategies"), Study.read("strategies-ablations")
    paths = {m.name: whole.training_recipe(m, 0, 0).supernet for m in whole.methods}
    varied = {m.name: plan.training_recipe(m, 0, 0).supernet for m in plan.methods}
    assert {name: paths[name] for name in ("GreedyNAS", "Cream")}.items() <= varied.items()
    assert paths["SPOS"].teacher() == varied["GreedyNAS"].teacher() == varied["Cream, fixed"].teacher()
    kinds = {name: supernet.strategy for name, supernet in varied.items()}
    assert [kinds[f"Cream{name}"].matching for name in ("", ", fixed", ", random")] == ["meta", "fixed", "random"]
    assert (kinds["GreedyNAS"].pool, kinds["GreedyNAS, no pool"].pool) == (300, 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('reference = "EAS"', 'reference = "EASY"', "reference is one of"),
        ('name = "Random"', 'name = "EAS"', "a name of its own"),
        ('supernet = "none"', 'supernet = "nobody"', "supernet of method"),
        ("views = 1", "view = 1", "view"),
        ("seeds = [0, 1]", "seeds = []", "seeds"),
        ("budgets = [0.2, 0.8]", "budgets = [20, 80]", "budgets"),
    ],
)
def test_a_wrong_study_is_refused_with_the_reason(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    assert old in STUDY
    path.write_text(STUDY.format(recipe="emoji").replace(old, new))
    with pytest.raises(TrainingError, match=message):
        Study.read(path)


def test_wrong_settings_of_a_method_are_told_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    text = (root / "study.toml").read_text().replace('selector = "random"', 'selector = "oracle"')
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(TrainingError, match=r"'Random'(.|\n)*oracle"):
        run_study(Study.read(tmp_path / "study.toml"), Source(root / "images"), tmp_path / "out", str(CPU))
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_names_those_that_there_are() -> None:
    with pytest.raises(TrainingError, match=r"got 'emojis'; did you mean 'emoji'"):
        Study.read("emojis")
