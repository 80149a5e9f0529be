"""Training on photos: the feed, that it resumes and is shared exactly, and who teaches."""

from __future__ import annotations

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    CPU,
    GENTLE,
    PHOTO,
    TINY,
    drawings,
    equal_states,
    interrupted_after,
    photos,
    random_net,
    sandwich,
    tiny_recipe,
)

from eas_sdk.errors import DataError, TrainingError  # noqa: E402
from eas_train.data.feed import Asked, Batch, augmented, feed, random_images  # noqa: E402
from eas_train.data.fixed_views import fixed_views  # noqa: E402
from eas_train.data.order import Epochs  # noqa: E402
from eas_train.data.photo_augment import PhotoAugmentation  # noqa: E402
from eas_train.data.photoset import UNLABELLED, PhotoSet  # noqa: E402
from eas_train.distributed import Share  # noqa: E402
from eas_train.supernet.loss import mixed_targets, superclass_mask, with_neighbours  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.recipe import Phase  # noqa: E402
from eas_train.supernet.teacher import Teacher  # noqa: E402
from eas_train.supernet.train import CHECKPOINT, train_supernet  # noqa: E402

MIXED = dataclasses.replace(PHOTO, policy="trivial", p_erase=0.5, mixup=0.4, cutmix=1.0, p_mix=0.8)
FROZEN = {"teacher": "frozen", "distillation": 1.0}
UNTAUGHT = {**FROZEN, "images": "unlabelled", "label_weight": 0.0, "superclass_dropout": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    return photos(tmp_path_factory.mktemp("photos"), 6)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    known = photos(tmp_path_factory.mktemp("unlabelled"), 4, seed=5)
    return PhotoSet(known.store, np.full(len(known), UNLABELLED), known.superclasses)


def asked(count: int = 5, size: int = 20) -> list[Asked]:
    rng = np.random.default_rng(0)
    return [Asked(rng.integers(36, size=8), seed, size) for seed in range(count)]


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.targets, other.targets)
    assert (one.own is None) == (other.own is None)
    if one.own is not None and other.own is not None:
        assert torch.equal(one.own, other.own)


@pytest.mark.parametrize("settings", [PHOTO, MIXED], ids=["plain", "mixed"])
def test_a_batch_depends_on_what_is_asked_for_alone(data: PhotoSet, settings: PhotoAugmentation) -> None:
    """Not on the worker, on the batches before it, on the process's share, or on torch's own generator."""
    wanted = asked()
    here = list(feed(data, wanted, settings, CPU, workers=0))
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for workers in (1, 2):
        for one, other in zip(here, feed(data, wanted, settings, CPU, workers=workers), strict=True):
            assert_same(one, other)
    assert_same(here[3], augmented(data, wanted[3], settings, CPU))
    assert torch.equal(torch.get_rng_state(), state)
    parts = [next(feed(data, wanted[:1], settings, CPU, Share(rank, 2), workers=0)) for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), here[0].images)
    assert torch.equal(torch.cat([part.targets for part in parts]), here[0].targets)
    assert not torch.equal(here[0].images, here[1].images)
    assert here[0].images.shape == (8, 3, 20, 20)
    assert 0 <= float(here[0].images.min()) < float(here[0].images.max()) <= 1
    assert torch.equal(here[0].targets, torch.from_numpy(data.targets[wanted[0].index]))


def test_pairs_are_mixed_as_they_say(data: PhotoSet) -> None:
    plain = dataclasses.replace(PHOTO, p_flip=0.0, least_area=1.0, jitter=0.0)
    (wanted,) = asked(1)
    images = augmented(data, wanted, plain, CPU).images
    batch = augmented(data, wanted, dataclasses.replace(plain, mixup=1.0), CPU)
    assert batch.own is not None
    partner = images.view(4, 2, 3, 20, 20).flip(1).reshape(8, 3, 20, 20)
    expected = partner + batch.own.view(-1, 1, 1, 1) * (images - partner)
    torch.testing.assert_close(batch.images, expected, atol=1 / 255, rtol=0)
    pasted = augmented(data, wanted, dataclasses.replace(plain, cutmix=1.0), CPU)
    assert pasted.own is not None
    of_itself = (pasted.images == images).all(1).float().mean((1, 2))
    assert (of_itself >= pasted.own - 1e-6).all()
    assert ((pasted.images == images) | (pasted.images == partner)).all()


def test_what_pairs_are_mixed_of_counts_in_the_loss() -> None:
    targets, own = torch.tensor([0, 3, 5]), torch.tensor([0.75, 0.5, 1.0])
    assert with_neighbours(targets).tolist() == [[0, 3], [3, 0], [5, 5]]
    expected = torch.zeros(3, 6)
    expected[0, 0], expected[0, 3], expected[1, 3], expected[1, 0], expected[2, 5] = 0.75, 0.25, 0.5, 0.5, 1.0
    torch.testing.assert_close(mixed_targets(targets, own, 6), expected)
    superclass_of = torch.tensor([0, 0, 1, 1, 2, 2])
    mask = superclass_mask(with_neighbours(targets), superclass_of, 1.0)
    assert mask.tolist() == [[True] * 4 + [False] * 2] * 2 + [[False] * 4 + [True] * 2]


def test_epochs_pass_over_everything_once() -> None:
    epochs = Epochs(10, 3)
    seen = np.concatenate([epochs.batch(step, 4) for step in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()
    np.testing.assert_array_equal(Epochs(10, 3).batch(4, 4), epochs.batch(4, 4))
    assert len(Epochs(3, 0).batch(2, 8)) == 8


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = photos(tmp_path, 1)
    broken = tmp_path / data.store.name(2)
    broken.write_bytes(broken.read_bytes()[:200])
    for workers in (0, 1):
        with pytest.raises(DataError, match=rf"{broken.name} cannot be read as an image"):
            list(feed(data, [Asked(np.arange(6), 0, 16)], PHOTO, CPU, workers=workers))


def test_the_augmentation_is_for_the_kind_of_images(data: PhotoSet) -> None:
    with pytest.raises(TrainingError, match="got 'drawing' for photos"):
        next(feed(data, asked(1), GENTLE, CPU))
    with pytest.raises(TrainingError, match="got 'photo' for drawings"):
        next(feed(drawings(6, 0), asked(1), PHOTO, CPU))


@pytest.mark.parametrize(
    ("field", "value"), [("least_area", 0), ("p_flip", 1.5), ("magnitude", 31), ("jitter", math.nan)]
)
def test_strengths_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        PhotoAugmentation(**{field: value})


def test_views_of_photos_are_fixed_squares(data: PhotoSet) -> None:
    """The first as the runtime makes it of the decoded pixels."""
    from eas_sdk.images import to_square

    images, targets = fixed_views(data, 3, 16, CPU)
    assert images.dtype == torch.uint8
    assert images.shape == (108, 3, 16, 16)
    assert targets.tolist() == np.repeat(data.targets, 3).tolist()
    for i in (0, 7):
        pixels = data.store.read(i).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(images[3 * i].permute(1, 2, 0).numpy(), to_square(pixels, 16))
    assert torch.equal(images, fixed_views(data, 3, 16, CPU)[0])
    assert not torch.equal(images[0], images[1])


def test_many_views_are_kept_in_a_file(data: PhotoSet, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fixed_views(data, 2, 16, CPU)[0].clone()
    monkeypatch.setattr("eas_train.data.fixed_views.IN_MEMORY", 100)
    assert torch.equal(fixed_views(data, 2, 16, CPU)[0], expected)


# Whole trainings


@pytest.mark.parametrize(("settings", "step"), [(PHOTO, 1), (MIXED, 2), (MIXED, 4)], ids=["plain", "mixed", "mixed"])
def test_an_interrupted_training_goes_on_exactly(
    data: PhotoSet, settings: PhotoAugmentation, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a frozen teacher teaches, which must not freeze again."""
    recipe = tiny_recipe(augmentation=settings, workers=1)
    phases = (recipe.phases[0], sandwich(steps=4, sort_channels=True, **FROZEN))
    recipe = recipe.model_copy(update={"phases": phases})
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(step))
        with pytest.raises(KeyboardInterrupt):
            train_supernet(recipe, data, tmp_path / "cut", CPU)
    whole = train_supernet(recipe, data, tmp_path / "whole", CPU)
    again = recipe.model_copy(update={"workers": 0})
    assert equal_states(train_supernet(again, data, tmp_path / "cut", CPU), whole)


PROGRAM = """
import sys
from pathlib import Path

from train.test_photo_training import CPU, joined_recipe, train_supernet
from train.tiny import photos
from eas_train.distributed import joined

with joined(CPU) as device:
    train_supernet(joined_recipe(), photos(Path(sys.argv[1]) / "photos", 4), Path(sys.argv[1]) / "two", device)
"""


def joined_recipe() -> object:
    phases = (sandwich(steps=6, learning_rate=0.02),)
    return tiny_recipe(augmentation=MIXED, workers=0, dropout=0.0, checkpoint_every_s=1000, phases=phases)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")
def test_two_processes_train_what_one_would(tmp_path: Path) -> None:
    photos(tmp_path / "photos", 4)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(program), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    net = train_supernet(joined_recipe(), photos(tmp_path / "photos", 4), tmp_path / "one", CPU)
    state = torch.load(tmp_path / "two" / CHECKPOINT, weights_only=True)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(state["net"][name], tensor, rtol=2e-3, atol=2e-4)


@pytest.fixture(scope="module")
def learned(data: PhotoSet, tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    recipe = tiny_recipe(augmentation=PHOTO, dropout=0.0, phases=(sandwich(steps=60, superclass_dropout=0.0),))
    return train_supernet(recipe, data, tmp_path_factory.mktemp("learned"), CPU)


def test_photos_are_learned(data: PhotoSet, learned: Supernet) -> None:
    net = learned.train()
    images = random_images(data, 36, 24, PHOTO, CPU, seed=1)
    index = np.random.default_rng(1).integers(len(data), size=36)
    with torch.no_grad():
        right = net(images, TINY.largest).argmax(1) == torch.from_numpy(data.targets[index])
    assert float(right.float().mean()) > 0.6


def test_a_frozen_teacher_stands_still(data: PhotoSet, tmp_path: Path) -> None:
    """It is the end of the phase before, whatever the networks that learn from it become."""
    first = tiny_recipe(augmentation=PHOTO, phases=(tiny_recipe().phases[0],))
    end = train_supernet(first, data, tmp_path / "first", CPU)
    taught = first.model_copy(update={"phases": (*first.phases, sandwich(steps=3, **FROZEN))})
    train_supernet(taught, data, tmp_path / "both", CPU)
    state = torch.load(tmp_path / "both" / CHECKPOINT, weights_only=True)
    assert all(torch.equal(state["teacher"]["net"][name], value) for name, value in end.state_dict().items())
    assert not all(torch.equal(state["net"][name], value) for name, value in end.state_dict().items())


def test_without_labels_the_teacher_alone_is_learned_from(
    data: PhotoSet, unlabelled: PhotoSet, learned: Supernet, tmp_path: Path
) -> None:
    teacher = Teacher.of(learned, lambda side: random_images(data, 36, side, PHOTO, CPU, 0), (24,))
    phase = sandwich(steps=60, **UNTAUGHT)
    recipe = tiny_recipe(augmentation=PHOTO, dropout=0.0, phases=(phase,))
    student = train_supernet(recipe, data, tmp_path, CPU, unlabelled=unlabelled, frozen=teacher).train()
    images = random_images(data, 200, 24, PHOTO, CPU, seed=9)
    with torch.no_grad():
        agree = (student(images, TINY.largest).argmax(1) == teacher(images).argmax(1)).float().mean()
    assert len(set(teacher(images).argmax(1).tolist())) > 3
    assert float(agree) > 0.5
    with pytest.raises(TrainingError, match="phase 'sandwich' trains on unlabelled images, and none are given"):
        train_supernet(recipe, data, tmp_path / "none", CPU)
    other = recipe.fingerprint(data, None, unlabelled, Teacher.of(random_net(TINY, seed=1), lambda _: images, (24,)))
    assert other != recipe.fingerprint(data, None, unlabelled, teacher)


def test_the_weights_of_both_losses_are_what_the_recipe_says(data: PhotoSet, tmp_path: Path) -> None:
    """One step from the same weights: the smallest network's loss is the sum of its parts."""

    def loss(**weights: float) -> float:
        phase = sandwich(steps=20, networks=2, learning_rate=1e-9, superclass_dropout=0.0, **weights)
        folder = tmp_path / str(sorted(weights.items()))
        train_supernet(tiny_recipe(augmentation=PHOTO, dropout=0.0, phases=(phase,)), data, folder, CPU)
        import json

        return float(json.loads((folder / "supernet.jsonl").read_text())["losses"][1])

    labels, taught = loss(distillation=0.0), loss(distillation=1.0, label_weight=0.0)
    assert loss(distillation=1.0, label_weight=1.0) == pytest.approx(labels + taught, abs=2e-3)
    assert loss(distillation=3.0, label_weight=0.5) == pytest.approx(0.5 * labels + 3 * taught, abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "frozen", "distillation": 0.0}, "distillation above 0"),
        ({**UNTAUGHT, "label_weight": 1.0}, "label_weight = 0"),
        ({**UNTAUGHT, "teacher": "largest"}, "frozen"),
        ({**UNTAUGHT, "superclass_dropout": 0.3}, "no superclass_dropout"),
        ({"distillation": -1.0}, "distillation"),
    ],
)
def test_phases_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Phase.model_validate({"name": "p", "steps": 1, "learning_rate": 0.1} | changes)
