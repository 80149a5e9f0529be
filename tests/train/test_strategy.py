"""GreedyNAS's and Cream's ways of training: what is trained, kept and taught, and how it goes on after a kill."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

torch = pytest.importorskip("torch")

from cell_spaces import RESIDUALS  # noqa: E402
from train.tiny import (  # noqa: E402
    CPU,
    GENTLE,
    SIZES,
    TINY,
    SizesRecipe,
    architectures,
    drawings,
    equal_states,
    interrupted_after,
    random_net,
    sandwich,
)
from train.tiny import TinyRecipe as ElasticRecipe  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.protocol import Space, size_of  # noqa: E402
from eas_sdk.space.sample import even_architecture  # noqa: E402
from eas_sdk.space.tables import madds_range, madds_table  # noqa: E402
from eas_train import checkpoint  # noqa: E402
from eas_train.strategy.cream import Board, Cream, Entry, MetaNetwork  # noqa: E402
from eas_train.strategy.draw import draw  # noqa: E402
from eas_train.strategy.greedy import Greedy, Pool, updated  # noqa: E402
from eas_train.strategy.recipe import CreamRecipe, GreedyRecipe  # noqa: E402
from eas_train.strategy.trial import Trial  # noqa: E402
from eas_train.strategy.uniform import Moment, Uniform  # noqa: E402
from eas_train.supernet.evaluate import within_superclass  # noqa: E402
from eas_train.supernet.loss import cross_entropy, distillation  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.recipe import Phase, SupernetRecipe  # noqa: E402
from eas_train.supernet.resize import images_for, resized  # noqa: E402
from eas_train.supernet.train import load_supernet, train_supernet  # noqa: E402

TRAIN, VALIDATION = drawings(4, 0, 32), drawings(5, 1, 32)
PHASE = Phase(name="paths", steps=8, learning_rate=0.05)


class CellRecipe(SupernetRecipe):
    """Trains the small space of residual cells instead of a preset."""

    def search_space(self) -> Space:
        return RESIDUALS


def recipe(strategy: dict[str, object], kind: type[SupernetRecipe] = CellRecipe, **changes: object) -> SupernetRecipe:
    settings: dict[str, object] = {
        "batch_size": 8,
        "checkpoint_every_s": 0,
        "augmentation": GENTLE,
        "phases": (PHASE,),
        "strategy": strategy,
    }
    return kind.model_validate(settings | changes)


GREEDY: dict[str, object] = {"kind": "greedy", "sampled": 4, "kept": 2, "images": 10, "pool": 3, "warmup_steps": 1}
CREAM: dict[str, object] = {
    "kind": "cream",
    "board": 3,
    "images": 12,
    "match_images": 4,
    "meta_every": 2,
    "refresh_every": 3,
    "warmup_steps": 1,
    "meta_hidden": 8,
}


def new_trial(seed: int = 0) -> Trial:
    return Trial(random_net(RESIDUALS, seed=seed), VALIDATION, CPU)


def test_validation_images_have_the_side_that_the_training_has() -> None:
    trial = new_trial()
    whole, small = trial.batch(10, 1), trial.batch(10, 1, 16)
    assert whole.images.shape == (10, 3, 32, 32)
    assert small.images.shape == (10, 3, 16, 16)
    assert torch.equal(whole.targets, small.targets)
    assert 0 <= small.images.min() <= small.images.max() <= 1
    torch.testing.assert_close(small.images.mean((1, 2, 3)), whole.images.mean((1, 2, 3)), rtol=0.05, atol=0.01)
    greedy = Greedy(GreedyRecipe(kind="greedy", sampled=3, kept=1, images=5), trial.net, trial, 10, 0)
    seen: list[torch.Size] = []
    original = trial.losses
    trial.losses = lambda architectures, batch: (seen.append(batch.images.shape), original(architectures, batch))[1]
    greedy.filtered(PHASE.model_copy(update={"image_size": 16}), random.Random(0), 0)
    assert seen == [(5, 3, 16, 16)]


def test_each_network_is_tried_on_images_of_its_own_size() -> None:
    net = random_net(SIZES)
    trial = Trial(net, VALIDATION, CPU)
    own, same = trial.batch(12, 1), trial.batch(12, 1, 20)
    listed = architectures(SIZES, 8)
    assert len({architecture.input_size for architecture in listed}) == 3
    for architecture, loss in zip(listed, trial.losses(listed, own), strict=True):
        with torch.no_grad():
            logits = net(resized(own.images, size_of(SIZES, architecture)), architecture)
        assert loss == pytest.approx(float(cross_entropy(logits, own.targets, own.mask)), rel=1e-5)
        right = within_superclass(logits, own.targets, trial.superclass_of).float().mean()
        assert trial.accuracy(architecture, own) == pytest.approx(float(right))
    assert same.images.shape[-1] == 20
    with torch.no_grad():
        logits = net(same.images, SIZES.smallest)
    assert float(trial.loss(SIZES.smallest, same).detach()) == pytest.approx(
        float(cross_entropy(logits, same.targets, same.mask)), rel=1e-5
    )


@pytest.mark.parametrize("side", [None, 20])
def test_teachers_and_boards_are_of_their_own_size(side: int | None) -> None:
    net = random_net(SIZES)
    cream = Cream(CreamRecipe.model_validate(CREAM), net, Trial(net, VALIDATION, CPU), seed=3)
    images = torch.rand(8, 3, side or 32, side or 32, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(8, 6, dtype=torch.bool)
    student = SIZES.smallest
    moment = Moment(4, 0.1, student, images, mask, net(images_for(SIZES, student, images, side), student), side)
    lesson = cream.lesson(moment)
    assert lesson is not None
    known = [entry.architecture for entry in cream.boards[0].entries]
    assert len({architecture.input_size for architecture in known}) > 1
    with torch.no_grad():
        answers = [net(resized(images, side or size_of(SIZES, a)), a) for a in known]
    assert any(torch.equal(lesson.logits, answer) for answer in answers)
    cream.after(moment)
    for entry in cream.boards[0].entries:
        judged = cream._judged(entry.architecture, side)
        batch = cream.trial.batch(cream.recipe.images, cream.seed, side)
        assert judged.accuracy == cream.trial.accuracy(entry.architecture, batch)


@pytest.mark.parametrize("strategy", [GREEDY, CREAM], ids=["greedy", "cream"])
@pytest.mark.parametrize("side", [None, 20])
def test_trained_tried_and_taught_networks_see_the_same_sizes(
    strategy: dict[str, object], side: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each its own, or all that of the phase."""
    seen: set[tuple[int | None, int]] = set()
    answer = Supernet.answer

    def spy(self: Supernet, images: torch.Tensor, architecture: Architecture, norm: object = None) -> object:
        seen.add((architecture.input_size, images.shape[-1]))
        return answer(self, images, architecture, norm)

    monkeypatch.setattr(Supernet, "answer", spy)
    phase = sandwich(steps=4, sandwich=False, networks=1, distillation=0.0, image_size=side)
    train_supernet(recipe(strategy, SizesRecipe, phases=(phase,)), TRAIN, tmp_path, CPU, validation=VALIDATION)
    assert seen == {(size, side or size) for size in SIZES.input_sizes}


# GreedyNAS


def test_the_better_paths_of_those_drawn_are_trained_best_first() -> None:
    trial = new_trial()
    greedy = Greedy(GreedyRecipe(kind="greedy", sampled=6, kept=3, images=20), trial.net, trial, 100, seed=5)
    kept = greedy.filtered(PHASE, random.Random(1), step=7)
    rng = random.Random(1)
    drawn = [even_architecture(RESIDUALS, rng) for _ in range(6)]
    losses = trial.losses(drawn, trial.batch(20, 5 * 1_000_003 + 7))
    assert kept == [drawn[i] for i in np.argsort(losses)[:3]]
    assert greedy.evaluated_images == 6 * 20
    assert [a for a, _ in greedy.left()] == kept
    waiting = [greedy.draw(PHASE, random.Random(i), 8) for i in range(6)]
    assert len(set(waiting[:3]) & set(waiting[3:])) < 3


@pytest.mark.parametrize(("m", "k", "q"), [(10, 5, 0.6), (4, 2, 0.3), (6, 5, 0.5)])
def test_theorem_1_by_simulation(m: int, k: int, q: float) -> None:
    """Where the supernet ranks as the oracle does, the k kept paths are all good as often as Eq. 7 says."""
    goodness = np.random.default_rng(0).random(4000)  # of each path, the higher the better
    good = goodness >= np.quantile(goodness, 1 - q)
    rng = np.random.default_rng(1)
    drawn = rng.integers(4000, size=(20_000, m))
    kept = np.take_along_axis(drawn, np.argsort(-goodness[drawn], 1)[:, :k], 1)
    share = good[kept].all(1).mean()
    expected = binom.sf(k - 1, m, good.mean())
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20_000) + 1e-3)


def test_the_pool_loses_the_largest_loss() -> None:
    pool = Pool(2)
    paths = [even_architecture(RESIDUALS, random.Random(seed)) for seed in range(3)]
    for path, loss in zip(paths, (1.0, 3.0, 2.0), strict=True):
        pool.add(path, loss)
    assert pool.loss_of == {str(paths[0]): 1.0, str(paths[2]): 2.0}
    pool.add(paths[0], 5.0)  # a newer loss takes the place of the older one
    assert pool.loss_of[str(paths[0])] == 5.0
    assert {pool.draw(random.Random(seed)) for seed in range(20)} == {paths[0], paths[2]}


def test_paths_come_from_the_pool_as_the_training_goes_on() -> None:
    trial = new_trial()
    greedy = Greedy(GreedyRecipe(kind="greedy", images=4, pool=1, pool_probability=1.0), trial.net, trial, 100, 0)
    greedy.pool.add(RESIDUALS.largest, 0.0)
    assert set(greedy.filtered(PHASE, random.Random(0), 100)) == {RESIDUALS.largest}
    early = Greedy(GreedyRecipe(kind="greedy", images=4, pool=1, pool_probability=1.0), trial.net, trial, 100, 0)
    early.pool.add(RESIDUALS.largest, 0.0)
    assert len(set(early.filtered(PHASE, random.Random(0), 0))) > 1


def test_a_steady_pool_stops_the_training(tmp_path: Path) -> None:
    assert updated({"a", "b", "c", "d"}, {"a", "b", "c", "e"}) == 0.25
    always = recipe(GREEDY | {"pool": 2, "steady_steps": 1, "tolerance": 1.0})
    net = train_supernet(always, TRAIN, tmp_path, CPU, validation=VALIDATION)
    state = checkpoint.load(tmp_path / "supernet.pt", recipe=always.fingerprint(TRAIN, VALIDATION))
    assert state is not None
    assert state["finished"]
    assert 1 < state["step"] < 8
    loaded = load_supernet(always, TRAIN, tmp_path, CPU, VALIDATION)
    assert equal_states(net, loaded)
    never = recipe(GREEDY | {"pool": 2, "steady_steps": 1, "tolerance": 0.0})
    train_supernet(never, TRAIN, tmp_path / "never", CPU, validation=VALIDATION)
    state = checkpoint.load(tmp_path / "never" / "supernet.pt", recipe=never.fingerprint(TRAIN, VALIDATION))
    assert state is not None
    assert state["step"] == 8


# Cream


def entry(seed: int, accuracy: float, madds: int) -> Entry:
    return Entry(even_architecture(RESIDUALS, random.Random(seed)), accuracy, madds)


def test_a_board_takes_what_is_no_worse_and_no_dearer_than_one_of_its_paths() -> None:
    first, second = entry(0, 0.5, 100), entry(1, 0.7, 200)
    board = Board(0, 1000, [first, second])
    assert not board.offer(entry(2, 0.4, 50)), "worse than both"
    assert not board.offer(entry(2, 0.6, 150)), "better than the first, and dearer"
    assert not board.offer(entry(2, 0.9, 2000)), "beyond the range"
    better = entry(2, 0.6, 90)
    assert board.offer(better)
    assert board.entries == [better, second]
    best = entry(3, 0.8, 80)
    assert board.offer(best)
    assert board.entries == [best, second], "of those it beats, the least accurate makes room"
    again = Entry(second.architecture, 0.1, 200)
    assert not board.offer(again)
    assert board.entries == [best, again], "a path that is there is judged anew"


def new_cream(**changes: object) -> Cream:
    trial = new_trial()
    return Cream(CreamRecipe.model_validate(CREAM | changes), trial.net, trial, seed=3)


def moment_of(cream: Cream, step: int) -> Moment:
    architecture = even_architecture(RESIDUALS, random.Random(9))
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(step))
    mask = torch.ones(8, 6, dtype=torch.bool)
    return Moment(step, 0.1, architecture, images, mask, cream.net(images, architecture))


def test_boards_begin_with_random_paths_within_their_ranges() -> None:
    cream = new_cream(ranges=((0.0, 0.4), (0.4, 1.0)), board=5)
    low, high = madds_range(RESIDUALS, 6)
    for board, (a, b) in zip(cream.boards, ((0.0, 0.4), (0.4, 1.0)), strict=True):
        madds = [e.madds for e in board.entries]
        assert len(madds) == 5
        assert all(low + a * (high - low) - 1 <= m <= low + b * (high - low) for m in madds)
        rows = RESIDUALS.encode([e.architecture for e in board.entries])
        assert madds_table(RESIDUALS).total(RESIDUALS, rows, 6).tolist() == madds


def test_the_teacher_is_the_path_of_highest_matching_degree() -> None:
    cream = new_cream(meta_every=100)
    moment = moment_of(cream, 5)
    lesson = cream.lesson(moment)
    assert lesson is not None
    degrees, logits = [], []
    for board_entry in cream.boards[0].entries:
        with torch.no_grad():
            few = moment.images[:4]
            difference = cream.net(few, board_entry.architecture) - cream.net(few, moment.architecture)
            degrees.append(float(cream.meta(difference)))
            logits.append(cream.net(moment.images, board_entry.architecture))
    assert lesson.weight == pytest.approx(max(degrees))
    torch.testing.assert_close(lesson.logits, logits[int(np.argmax(degrees))])


@pytest.mark.parametrize("matching", ["none", "fixed", "random", "meta"])
def test_the_columns_of_the_ablation(matching: str) -> None:
    cream = new_cream(matching=matching)
    assert cream.lesson(moment_of(cream, 0)) is None, "the first steps have no teacher"
    moment = moment_of(cream, 5)
    lesson = cream.lesson(moment)
    if matching == "none":
        assert lesson is None
        return
    assert lesson is not None
    known = [e.architecture for e in cream.boards[0].entries] if matching != "fixed" else [RESIDUALS.largest]
    with torch.no_grad():
        answers = [cream.net(moment.images, architecture) for architecture in known]
    assert any(torch.allclose(lesson.logits, answer) for answer in answers)
    assert (lesson.weight == 1.0) == (matching != "meta")


def test_the_meta_network_s_gradient_is_that_of_the_validation_loss() -> None:
    """Eq. 6, by finite differences: the loss after a plain step of size eta on CE + rho KD, as a function of rho."""
    cream = new_cream(meta_every=1)
    net, eta = cream.net.double(), 1e-2
    cream.meta.double()
    cream.trial.images = cream.trial.images.double()
    architecture = even_architecture(RESIDUALS, random.Random(9))
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(4)).double()
    mask = torch.ones(8, 6, dtype=torch.bool)
    moment = Moment(4, eta, architecture, images, mask, net(images, architecture))
    lesson = cream.lesson(moment)
    assert lesson is not None
    assert cream.pull
    weights = list(net.parameters())
    before = [w.detach().clone() for w in weights]
    batch = cream.trial.batch(cream.recipe.images, cream.seed * 7919 + moment.step)

    def loss_after(rho: float) -> float:
        with torch.no_grad():
            for weight, start, pull in zip(weights, before, cream.pull, strict=True):
                weight.copy_(start - eta * rho * pull)  # the labels' part is the same for every rho
        return float(cream.trial.loss(architecture, batch).detach())

    rho, step = lesson.weight, 0.1  # losses are float32
    slope = (loss_after(rho + step) - loss_after(rho - step)) / (2 * step)
    loss_after(rho)
    assert cream.difference is not None
    degree = cream.meta(cream.difference)
    expected = torch.autograd.grad(degree * slope, list(cream.meta.parameters()))
    cream.meta_optimizer = torch.optim.SGD(cream.meta.parameters(), lr=1.0)
    start = [p.detach().clone() for p in cream.meta.parameters()]
    cream._learn(moment)
    for parameter, old, gradient in zip(cream.meta.parameters(), start, expected, strict=True):
        torch.testing.assert_close(old - parameter.detach(), gradient, rtol=0.1, atol=0.1 * float(gradient.abs().max()))


def test_matching_degrees_lie_between_zero_and_one() -> None:
    meta = MetaNetwork(6, 16)
    for scale in (0.0, 1.0, 100.0):
        assert 0 <= float(meta(scale * torch.randn(4, 6)).detach()) <= 1


def test_distillation_is_added_to_the_labels_with_its_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step by hand: cross-entropy plus rho times the distillation."""
    seen: list[float] = []
    original = Cream.lesson

    def spy(self: Cream, moment: Moment) -> object:
        lesson = original(self, moment)
        if lesson is not None:
            seen.append(lesson.weight * float(distillation(moment.logits.detach(), lesson.logits, moment.mask)))
        return lesson

    monkeypatch.setattr(Cream, "lesson", spy)
    plain = recipe({"kind": "cream", **{k: v for k, v in CREAM.items() if k != "kind"}, "matching": "none"})
    taught = recipe(CREAM)
    logs = []
    for name, each in (("plain", plain), ("taught", taught)):
        each = each.model_copy(update={"phases": (PHASE.model_copy(update={"steps": 20}),)})
        train_supernet(each, TRAIN, tmp_path / name, CPU, validation=VALIDATION)
        logs.append((tmp_path / name / "supernet.jsonl").read_text())
    assert len(seen) == 19
    assert all(value > 0 for value in seen)
    assert logs[0] != logs[1]


# Both


@pytest.mark.parametrize("strategy", [GREEDY, CREAM], ids=["greedy", "cream"])
@pytest.mark.parametrize("kind", [CellRecipe, ElasticRecipe, SizesRecipe])
def test_a_stopped_training_goes_on_exactly(
    strategy: dict[str, object], kind: type[SupernetRecipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 24 if kind is ElasticRecipe else 32
    train, validation = drawings(4, 0, size), drawings(5, 1, size)
    phases = (PHASE,) if kind is CellRecipe else (sandwich(steps=8, sandwich=False, networks=1, distillation=0.0),)
    made = recipe(strategy, kind, phases=phases)
    whole = train_supernet(made, train, tmp_path / "whole", CPU, validation=validation)
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(5))
        with pytest.raises(KeyboardInterrupt):
            train_supernet(made, train, tmp_path / "cut", CPU, validation=validation)
    resumed = train_supernet(made, train, tmp_path / "cut", CPU, validation=validation)
    assert equal_states(whole, resumed)
    one, other = (
        checkpoint.load(tmp_path / name / "supernet.pt", recipe=made.fingerprint(train, validation))
        for name in ("whole", "cut")
    )
    assert one is not None
    assert other is not None
    assert one["left"] == other["left"]
    assert one["left"]
    assert [score for _, score in one["left"]] == sorted((score for _, score in one["left"]), reverse=True)
    for text, _ in one["left"]:
        made.search_space().validate(Architecture.parse(text))
    counts = ("optimised_images", "evaluated_images")
    assert [one["strategy"][name] for name in counts] == [other["strategy"][name] for name in counts]
    assert one["strategy"]["optimised_images"] == 8 * 8


def test_validation_drawings_are_needed_and_part_of_what_a_training_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'greedy' tries sub-networks on validation images"):
        train_supernet(recipe(GREEDY), TRAIN, tmp_path, CPU)
    made = recipe(GREEDY)
    assert made.fingerprint(TRAIN, VALIDATION) != made.fingerprint(TRAIN, drawings(5, 2, 32))
    even = recipe({"kind": "uniform"})
    assert even.fingerprint(TRAIN, VALIDATION) == even.fingerprint(TRAIN)


def test_the_even_strategy_draws_every_option() -> None:
    even = Uniform(random_net(RESIDUALS))
    rng = random.Random(0)
    rows = RESIDUALS.encode([even.draw(PHASE, rng, 0) for _ in range(600)])
    for column, options in zip(rows.T, RESIDUALS.options, strict=True):
        shares = np.bincount(column, minlength=options) / len(column)
        assert shares == pytest.approx(np.full(options, 1 / options), abs=0.08)
    elastic = Uniform(random_net(TINY))
    assert elastic.left() == []


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (GREEDY | {"kept": 9}, "no more paths are kept than sampled"),
        (GREEDY | {"kind": "best"}, "does not match any of the expected tags"),
        (CREAM | {"ranges": ((0.5, 0.2),)}, "from a part to a larger one"),
        (CREAM | {"matching": "best"}, "'none', 'fixed', 'random' or 'meta'"),
    ],
)
def test_wrong_settings_are_told(strategy: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(strategy)


def test_units_are_whole_and_small_sizes_frequent_as_a_phase_says() -> None:
    rng = random.Random(0)
    phase = Phase(name="p", steps=1, learning_rate=0.1, whole=0.8, size_power=1.0)
    drawn = [draw(SIZES, phase, rng) for _ in range(2000)]
    whole = [unit == most for a in drawn for unit, most in zip(a.units, SIZES.largest.units, strict=True)]
    assert 0.8 < np.mean(whole) < 0.93, "some of the units that are drawn are the largest too"
    shares = [np.mean([a.input_size == size for a in drawn]) for size in SIZES.input_sizes]
    weights = np.array([size**-2.0 for size in SIZES.input_sizes])
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.04)
    plain = [draw(SIZES, Phase(name="p", steps=1, learning_rate=0.1), rng).input_size for _ in range(2000)]
    np.testing.assert_allclose([np.mean([s == size for s in plain]) for size in SIZES.input_sizes], 1 / 3, atol=0.04)
