"""Training of the supernet: phases of gradient steps, each over several sub-networks of one batch.

One loop serves the teacher (the largest network alone), progressive shrinking (Cai et al. 2020) and the
sandwich rule (Yu et al. 2020): they differ in what a phase samples. All randomness of step i comes from
(seed, i), so a resumed training continues exactly.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from eas_sdk.errors import TrainingError
from eas_sdk.space import registry as spaces
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space, size_of
from eas_train import checkpoint
from eas_train.allocator import keep_freed_memory
from eas_train.clock import clock
from eas_train.data.feed import Asked, Batch, feed, random_images
from eas_train.data.imageset import superclass_of_class
from eas_train.data.order import Order, order_of
from eas_train.data.splits import Images
from eas_train.distributed import Share, WholeBatchStatistics, share
from eas_train.progress import progress
from eas_train.recipe import Phase, SupernetRecipe
from eas_train.strategy.registry import strategy
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Lesson, Moment, Uniform
from eas_train.supernet.loss import cross_entropy, distillation, mixed_targets, superclass_mask, with_neighbours
from eas_train.supernet.model import Supernet
from eas_train.supernet.resize import images_for
from eas_train.supernet.sort import sort_channels
from eas_train.supernet.spread import spread_weights
from eas_train.supernet.teacher import Teacher

CHECKPOINT = "supernet.pt"
LOG = "supernet.jsonl"
TEACHER_IMAGES = 2048
"""Augmented training images that a frozen teacher's statistics are recorded on."""


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
) -> Supernet:
    """Train, or go on training, the supernet of `recipe`; checkpoints and a log are kept in `folder`.

    Processes that joined (see distributed.py) share every batch; the first of them writes.

    Args:
        validation: what a strategy tries sub-networks on; the even one tries none.
        unlabelled: what phases of `images = "unlabelled"` train on.
        teacher: the folder of a finished training of `recipe.teacher()`, whose result this one begins with.
        frozen: what phases of `teacher = "frozen"` learn from; by default the largest network as it is when the first
            of them begins.

    Raises:
        TrainingError: the checkpoint belongs to another recipe or data set, the loss is no longer finite, or a batch
            cannot be shared evenly, or a strategy needs validation images, or one process, or a phase needs
            unlabelled images.
    """
    part = share()
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
        start = checkpoint.load(teacher / CHECKPOINT, recipe=first.fingerprint(data))

    def make(net: Supernet) -> Uniform:
        trial = Trial(net, validation, device) if recipe.tries_on_validation and validation is not None else None
        return strategy(recipe, net, trial)

    fingerprint = recipe.fingerprint(data, validation, unlabelled, frozen)
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
) -> tuple[Supernet, Uniform]:
    """The training itself, over any space: the supernet, and its strategy at the end.

    Args:
        make: makes the strategy.
        fingerprint: what the checkpoint must carry.
        start: state of another training's checkpoint, which this one goes on from.
        weights: state of another supernet, whose weights this one begins with as far as it has them.
        unlabelled, frozen: see `train_supernet`.
    """
    part = share()
    if device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(recipe.seed)
    net = new_supernet(space, recipe, data, device)
    if weights is not None:
        own_names = net.state_dict().keys()
        net.load_state_dict({name: value for name, value in weights.items() if name in own_names}, strict=False)
    began = copy.deepcopy(net)
    optimizer = sgd(net, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    chosen = make(net)
    own = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint)
    state = own or start
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
    # Sub-networks leave weights unused; what several of them accumulate is reduced with the last one's gradients.
    model: Supernet | DistributedDataParallel = net
    if part.size > 1:
        model = DistributedDataParallel(net, find_unused_parameters=True, broadcast_buffers=False)

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

    with progress("supernet", total, step, shown=part.rank == 0) as update:
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
            order, end = order_of(images, recipe.seed), step - at + phase.steps
            wanted = _asked(recipe, order, phase, step, end, size_of(space, space.largest))
            taught_by = frozen if phase.teacher == "frozen" else None
            with closing(feed(images, wanted, recipe.augmentation, device, part, workers=recipe.workers)) as batches:
                for batch in batches:
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate(phase, recipe.phase_at(step)[1])
                    losses = _step(
                        model, space, optimizer, phase, batch, superclass_of, recipe, step, part, chosen, taught_by
                    )
                    step += 1
                    if step % 20 == 0 and part.rank == 0:
                        _log(folder / LOG, step, phase.name, losses)
                    done = step == total or chosen.finished
                    if time.monotonic() - saved >= recipe.checkpoint_every_s or done:
                        save()
                        saved = time.monotonic()
                    update(step, f"{phase.name} loss {losses[0]:.3f}")
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
    return lambda side: random_images(data, TEACHER_IMAGES, side, recipe.augmentation, device, recipe.seed)


def load_supernet(
    recipe: SupernetRecipe,
    data: Images,
    folder: Path,
    device: torch.device,
    validation: Images | None = None,
    *,
    fingerprint: str | None = None,
    as_it_began: bool = False,
) -> Supernet:
    """The trained supernet of `folder`.

    Args:
        fingerprint: what its checkpoint carries, where more than recipe and data made it.
        as_it_began: with the weights that it began with, its channels in the order that they have now.

    Raises:
        TrainingError: there is none, it is of another recipe, or its training is not finished.
    """
    state = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint or recipe.fingerprint(data, validation))
    if state is None or not state.get("finished", state["step"] == recipe.total_steps):
        done = 0 if state is None else state["step"]
        raise TrainingError(
            f"{folder} holds no finished supernet ({done} of {recipe.total_steps} steps); run the supernet stage"
        )
    space = spaces.from_json(state["space"]) if "space" in state else recipe.search_space()
    net = new_supernet(space, recipe, data, device)
    net.load_state_dict(state["began" if as_it_began else "net"])
    return net.eval()


def new_supernet(space: Space, recipe: SupernetRecipe, data: Images, device: torch.device) -> Supernet:
    """A supernet with new weights."""
    net = Supernet(space, len(data.classes), dropout=recipe.dropout)
    # torch documents this overload but does not annotate it.
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def learning_rate(phase: Phase, at: int) -> float:
    """Cosine from the phase's rate to zero, after a linear warm-up."""
    if at < phase.warmup_steps:
        return phase.learning_rate * (at + 1) / phase.warmup_steps
    t = (at - phase.warmup_steps) / max(phase.steps - phase.warmup_steps, 1)
    return 0.5 * phase.learning_rate * (1 + math.cos(math.pi * t))


def phase_architectures(
    space: Space, phase: Phase, rng: random.Random, chosen: Uniform, step: int
) -> list[Architecture]:
    """The sub-networks of one step; the largest comes first when the phase trains it."""
    if phase.largest_only:
        return [space.largest]
    fixed = [space.largest, space.smallest] if phase.sandwich else []
    return fixed + [chosen.draw(phase, rng, step) for _ in range(phase.networks - len(fixed))]


def _step(
    model: Supernet | DistributedDataParallel,
    space: Space,
    optimizer: torch.optim.Optimizer,
    phase: Phase,
    batch: Batch,
    superclass_of: Tensor,
    recipe: SupernetRecipe,
    step: int,
    part: Share,
    chosen: Uniform,
    frozen: Teacher | None,
) -> list[float]:
    """One optimiser step; the losses of its sub-networks, in order.

    Raises:
        TrainingError: a loss or the gradient is not finite; the weights are left as they were.
    """
    device = superclass_of.device
    seed = recipe.seed * 1_000_003 + step
    rng = random.Random(seed)
    torch.manual_seed(seed + part.rank * 2**40)  # of the dropout before the classifier alone
    images, labels = batch.images, batch.targets
    if phase.images == "unlabelled":
        targets, mask = labels, labels.new_ones(len(labels), len(superclass_of), dtype=torch.bool)
    else:
        noise = torch.Generator(device).manual_seed(seed)
        both = labels if batch.own is None else with_neighbours(labels)
        mask = superclass_mask(both, superclass_of, phase.superclass_dropout, noise, part)
        targets = labels if batch.own is None else mixed_targets(labels, batch.own, len(superclass_of))
    norm = None if part.size == 1 else WholeBatchStatistics(space.epsilon)

    def forward(architecture: Architecture) -> Tensor:
        seen = images_for(space, architecture, images, phase.image_size)
        with autocast(recipe, device):
            logits: Tensor = model(seen, architecture, norm)
        return logits

    architectures = phase_architectures(space, phase, rng, chosen, step)
    teacher: Tensor | None = None
    if frozen is not None:
        with autocast(recipe, device):
            teacher = frozen(images, phase.image_size)
    elif phase.distillation and architectures[0] != space.largest:
        with torch.no_grad():
            teacher = forward(space.largest)
    losses = []
    for i, architecture in enumerate(architectures):
        last = i == len(architectures) - 1
        with model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext():
            logits = forward(architecture)
            rate = optimizer.param_groups[0]["lr"]
            moment = Moment(step, rate, architecture, images, mask, logits, phase.image_size)
            largest = architecture == space.largest
            lesson = None if largest else chosen.lesson(moment)
            if lesson is None and phase.distillation and not (largest and frozen is None):
                assert teacher is not None
                lesson = Lesson(teacher, phase.distillation)
            if largest and frozen is None:
                teacher = logits.detach()
            weight = 1.0 if lesson is None else phase.label_weight
            loss = lesson.weight * distillation(logits, lesson.logits, mask) if lesson else logits.new_zeros(())
            if weight:
                loss = loss + weight * cross_entropy(logits, targets, mask, smoothing=recipe.label_smoothing)
            loss.backward()
        losses.append(part.mean(float(loss.detach())))
    gradient = float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm))
    if not math.isfinite(sum(losses) + gradient):
        raise TrainingError(
            f"losses {losses} and gradient norm {gradient} must stay finite; they do not at step {step}. Lower "
            f"the learning rate of phase {phase.name!r} ({phase.learning_rate}); the last checkpoint is kept"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    chosen.counted(len(architectures) * len(images) * part.size)
    if not phase.largest_only:
        chosen.after(moment)
    return losses


def autocast(recipe: SupernetRecipe, device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the recipe allows it and the device computes in it."""
    able = device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    enabled: AbstractContextManager[None] = torch.autocast(
        device.type, torch.bfloat16, enabled=recipe.mixed_precision and able
    )
    return enabled


def sgd(net: Supernet, *, momentum: float, weight_decay: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; no weight decay on batch-norm and biases (OFA)."""
    named = list(net.named_parameters())
    decayed = [p for name, p in named if name.endswith("weight")]
    plain = [p for name, p in named if not name.endswith("weight")]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=True)


def _log(path: Path, step: int, phase: str, losses: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"step": step, "phase": phase, "losses": [round(v, 4) for v in losses]}) + "\n")
