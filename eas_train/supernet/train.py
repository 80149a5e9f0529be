"""Training of the supernet: phases of gradient steps, each over several sub-networks of one batch.

One loop serves the teacher (the largest network alone), progressive shrinking (Cai et al. 2020) and the
sandwich rule (Yu et al. 2020): they differ in what a phase samples. All randomness of step i comes from
(seed, i), so a resumed training continues exactly.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_sdk.space import registry as spaces
from eas_sdk.space.protocol import Space, size_of
from eas_train import checkpoint, step_log
from eas_train.allocator import keep_freed_memory
from eas_train.clock import clock
from eas_train.data.feed import Asked, feed, random_images
from eas_train.data.imageset import superclass_of_class
from eas_train.data.order import Order, order_of
from eas_train.data.splits import Images
from eas_train.distributed import share
from eas_train.interrupt import stop_between_steps
from eas_train.pretrained.importer import load_pretrained
from eas_train.progress import progress
from eas_train.statistics.model import begin_learned
from eas_train.strategy.registry import strategy
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Uniform
from eas_train.supernet.adapters import Adapters
from eas_train.supernet.classifier import begin_classifier
from eas_train.supernet.effort import effort_of
from eas_train.supernet.identity import CHECKPOINT, fingerprint_in
from eas_train.supernet.learned import LearnedStatistics
from eas_train.supernet.model import Supernet
from eas_train.supernet.optimizer import learning_rate, new_optimizer, set_rate
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.score import EACH
from eas_train.supernet.sort import sort_channels
from eas_train.supernet.spread import spread_weights
from eas_train.supernet.step import Stepper
from eas_train.supernet.teacher import Teacher
from eas_train.supernet.validation import BEST, Validation
from eas_train.supernet.validation import LOG as VALIDATION

LOG = "supernet.jsonl"
LOG_EVERY = 20
STATISTICS_IMAGES = 64
"""For each sub-network that learned statistics begin with."""
TEACHER_IMAGES = 2048
"""Augmented training images that a frozen teacher's statistics are recorded on, at most."""


class Origin(Protocol):
    """Trained weights that a supernet begins with."""

    @property
    def digest(self) -> str: ...

    def supernet(self, classes: Sequence[str]) -> Supernet:
        """A new supernet of them, for these classes."""
        ...


def train_supernet(
    recipe: SupernetRecipe,
    data: Images,
    folder: Path,
    device: torch.device,
    *,
    validation: Images | None = None,
    unlabelled: Images | None = None,
    teacher: Path | None = None,
    frozen: Teacher | None = None,
    origin: Origin | None = None,
    watched: bool = False,
    told: Callable[[int], None] | None = None,
) -> Supernet:
    """Train, or go on training, the supernet of `recipe`; checkpoints and a log are kept in `folder`.

    Processes that joined (see distributed.py) share every batch; the first of them writes.

    Args:
        validation: what a strategy tries sub-networks on; the even one tries none.
        unlabelled: what phases of `images = "unlabelled"` train on.
        teacher: the folder of a finished training of `recipe.teacher()`, whose result this one begins with.
        frozen: what phases of `teacher = "frozen"` learn from; by default the largest network as it is when the first
            of them begins.
        origin: what the supernet begins with where its recipe says "bundle".
        watched: whether validation images are looked at on the way.
        told: called with the number of steps that are done, after each.

    Raises:
        TrainingError: the checkpoint belongs to another recipe or data set, the loss is no longer finite, or a batch
            cannot be shared evenly, or a strategy needs validation images, or one process, or a phase needs
            unlabelled images, or the best weights validation images.
    """
    part = share()
    if recipe.keep == "best" and validation is None:
        raise TrainingError("the best weights are chosen on validation images (keep), and none are given")
    if recipe.tries_on_validation and (validation is None or part.size > 1):
        raise TrainingError(
            f"the strategy {recipe.strategy.kind!r} tries sub-networks on validation images, in one process; got "
            f"{'none' if validation is None else f'{part.size} processes'}"
        )
    if recipe.batch_size % part.size:
        raise TrainingError(
            f"batch_size must be a multiple of the {part.size} processes that share it; got {recipe.batch_size}"
        )
    if unlabelled is None and (lacking := [p.name for p in recipe.phases if p.images == "unlabelled"]):
        raise TrainingError(f"phase {lacking[0]!r} trains on unlabelled images, and none are given (--unlabelled)")
    start, first = None, recipe.teacher()
    if teacher is not None and first is not None:
        start = checkpoint.load(teacher / CHECKPOINT, recipe=fingerprint_in(teacher, first, data))

    def make(net: Supernet) -> Uniform:
        trial = Trial(net, validation, device) if recipe.tries_on_validation and validation is not None else None
        return strategy(recipe, net, trial)

    fingerprint = fingerprint_in(folder, recipe, data, validation, unlabelled, frozen, origin)
    return train_over(
        recipe.search_space(),
        recipe,
        data,
        folder,
        device,
        make,
        fingerprint,
        start,
        unlabelled=unlabelled,
        frozen=frozen,
        origin=origin,
        validation=validation if watched or recipe.keep == "best" else None,
        told=told,
    )[0]


def train_over(
    space: Space,
    recipe: SupernetRecipe,
    data: Images,
    folder: Path,
    device: torch.device,
    make: Callable[[Supernet], Uniform],
    fingerprint: str,
    start: dict[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    *,
    unlabelled: Images | None = None,
    frozen: Teacher | None = None,
    origin: Origin | None = None,
    validation: Images | None = None,
    told: Callable[[int], None] | None = None,
) -> tuple[Supernet, Uniform]:
    """The training itself, over any space: the supernet, and its strategy at the end.

    Args:
        make: makes the strategy.
        fingerprint: what the checkpoint must carry.
        start: state of another training's checkpoint, which this one goes on from.
        weights: state of another supernet, whose weights this one begins with as far as it has them.
        unlabelled, frozen, origin, told: see `train_supernet`.
        validation: looked at on the way, and which weights are best there is kept (see `Validation`).
    """
    part = share()
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(recipe.seed)
    net = new_supernet(space, recipe, data, device, origin)
    if weights is not None:
        own_names = net.state_dict().keys()
        net.load_state_dict({name: value for name, value in weights.items() if name in own_names}, strict=False)
    own = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint)
    state = own or start
    if net.learned is not None and state is None and origin is None:
        side = size_of(space, space.largest)
        begin_learned(
            net.learned,
            net,
            lambda seed: random_images(data, STATISTICS_IMAGES, side, recipe.augmentation, device, seed),
        )
    if recipe.classifier is not None and state is None:
        begin_classifier(net, data, recipe.classifier, recipe.augmentation, device)
    began = copy.deepcopy(net)
    optimizer = new_optimizer(net, recipe)
    chosen = make(net)
    step, before = 0, 0.0
    if state is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
        began.load_state_dict(state["began"])
        if frozen is None and "teacher" in state:
            frozen = Teacher.restored(state["teacher"], net)
    own_teacher = frozen is None or (state is not None and "teacher" in state)
    if own is not None and "strategy" in own:
        chosen.restore(own["strategy"])
    elif own is None and start is not None:
        chosen.counted(start.get("strategy", {}).get("optimised_images", 0))
    superclass_of = torch.from_numpy(superclass_of_class(data.superclasses)).to(device)
    total = recipe.total_steps
    now = clock(device)
    started, saved = now() - before, time.monotonic()
    net.train()
    stepper = Stepper.of(net, optimizer, recipe, chosen, superclass_of, part)
    looks = None
    if validation is not None and part.rank == 0:
        looks = Validation.of(net, recipe, data, validation, folder, fingerprint)

    def save() -> None:
        if part.rank > 0:
            return
        checkpoint.save(
            folder / CHECKPOINT,
            {
                "recipe": fingerprint,
                "net": net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "began": began.state_dict(),
                "seconds": now() - started,
                "finished": step == total or chosen.finished,
                "strategy": chosen.state(),
                "left": [(str(architecture), score) for architecture, score in chosen.left()],
                "space": space.to_json(),
                **({"teacher": frozen.state()} if own_teacher and frozen is not None else {}),
            },
        )

    def look() -> str:
        return "" if looks is None else looks.after(step, net, began)

    if not step and part.rank == 0:
        for log in (LOG, VALIDATION):  # of a training whose checkpoint was deleted
            (folder / log).unlink(missing_ok=True)
        look()
    if not total:
        save()
    if 0 < step < total:
        logging.getLogger(__name__).info("the supernet goes on at step %d of %d", step, total)
    note = ""
    bar = progress("supernet", total, step, shown=part.rank == 0, effort=effort_of(space, recipe, net.classes))
    with stop_between_steps() as stop, bar as update:
        while step < total and not chosen.finished:
            phase, at = recipe.phase_at(step)
            if at == 0 and (phase.sort_channels or phase.spread_weights):
                if phase.sort_channels:
                    sort_channels(net, tiers=phase.sort_tiers, along=(began,))
                else:
                    spread_weights(net)
                    began = copy.deepcopy(net)
                optimizer.state.clear()
            if phase.teacher == "frozen" and frozen is None:
                frozen = Teacher.of(net, _teacher_images(recipe, data, device), _teacher_sides(space, recipe))
            images = unlabelled if phase.images == "unlabelled" and unlabelled is not None else data
            order, end = order_of(images, recipe.seed, recipe.rarity), step - at + phase.steps
            wanted = _asked(recipe, order, phase, step, end, size_of(space, space.largest))
            taught_by = frozen if phase.teacher == "frozen" else None
            recent: list[list[float]] = []
            with closing(feed(images, wanted, recipe.augmentation, device, part, workers=recipe.workers)) as batches:
                for batch in batches:
                    set_rate(optimizer, learning_rate(phase, recipe.phase_at(step)[1]))
                    recent.append(stepper.step(phase, batch, step, taught_by))
                    losses = np.mean(recent[-LOG_EVERY:], 0).tolist()
                    step += 1
                    if step % LOG_EVERY == 0 and part.rank == 0:
                        means = [round(loss, 4) for loss in losses]
                        step_log.append(folder / LOG, step, {"phase": phase.name, "losses": means})
                        recent.clear()
                    note = look() or note
                    if told is not None and part.rank == 0:
                        told(step)
                    done = step == total or chosen.finished
                    if time.monotonic() - saved >= recipe.checkpoint_every_s or done or stop.asked is not None:
                        save()
                        saved = time.monotonic()
                    stop.raise_if_asked()
                    update(step, f"{phase.name} loss {losses[0]:.3f} {note}")
                    if done:
                        break
    return net, chosen


def _asked(recipe: SupernetRecipe, order: Order, phase: Phase, first: int, end: int, side: int) -> Iterator[Asked]:
    """The batches of a phase's steps from `first` on."""
    for step in range(first, end):
        index = order.batch(step, recipe.batch_size)
        yield Asked(index, recipe.seed * 1_000_003 + step, phase.image_size or side)


def _teacher_sides(space: Space, recipe: SupernetRecipe) -> tuple[int, ...]:
    """The sides of the images that a frozen teacher will see."""
    own = size_of(space, space.largest)
    return tuple(sorted({phase.image_size or own for phase in recipe.phases if phase.teacher == "frozen"}))


def _teacher_images(recipe: SupernetRecipe, data: Images, device: torch.device) -> Callable[[int], Tensor]:
    count = min(TEACHER_IMAGES, EACH * len(data))
    return lambda side: random_images(data, count, side, recipe.augmentation, device, recipe.seed)


def load_supernet(
    recipe: SupernetRecipe,
    data: Images,
    folder: Path,
    device: torch.device,
    validation: Images | None = None,
    *,
    fingerprint: str | None = None,
    as_it_began: bool = False,
    origin: Origin | None = None,
) -> Supernet:
    """The trained supernet of `folder`.

    Args:
        origin: see `train_supernet`.
        fingerprint: what its checkpoint carries, where more than recipe and data made it.
        as_it_began: with the weights that it began with, its channels in the order that they have now.

    Raises:
        TrainingError: there is none, it is of another recipe, or its training is not finished.
    """
    fingerprint = fingerprint or fingerprint_in(folder, recipe, data, validation)
    state = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint)
    if state is None or not state.get("finished", state["step"] == recipe.total_steps):
        done = 0 if state is None else state["step"]
        raise TrainingError(
            f"{folder} holds no finished supernet ({done} of {recipe.total_steps} steps); run the supernet stage"
        )
    space = spaces.from_json(state["space"]) if "space" in state else recipe.search_space()
    if recipe.keep == "best":
        state = checkpoint.load(folder / BEST, recipe=fingerprint)
        if state is None:
            raise TrainingError(f"{folder} lacks {BEST}, the weights that the recipe keeps; train into another folder")
    net = new_supernet(space, recipe, data, device, origin)
    net.load_state_dict(state["began" if as_it_began else "net"])
    return net.eval()


def new_supernet(
    space: Space, recipe: SupernetRecipe, data: Images, device: torch.device, origin: Origin | None = None
) -> Supernet:
    """A supernet with new weights, with published ones, or with those of `origin`.

    Raises:
        InputError, DataError, MissingDependency: see `load_pretrained`.
    """
    if origin is not None:
        net = origin.supernet(data.classes)
        net.dropout = recipe.dropout
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net
    if recipe.pretrained is None:
        net = Supernet(space, len(data.classes), dropout=recipe.dropout)
    else:
        published = load_pretrained(recipe.pretrained, space=space, classes=data.classes)
        net = published.net
        net.dropout = recipe.dropout
        if recipe.normalisation == "learned":
            net.learned = LearnedStatistics(space, published.statistics)
    if recipe.adapted_sizes:
        net.adapters = Adapters(net.elastic, net.classes, recipe.adapted_sizes, recipe.adapter_rank)
    # torch documents this overload but does not annotate it.
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net
