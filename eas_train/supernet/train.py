"""Training of the supernet: phases of gradient steps, each over several sub-networks of one batch.

One loop serves the teacher (the largest network alone), progressive shrinking (Cai et al. 2020) and the
sandwich rule (Yu et al. 2020): they differ in what a phase samples. All randomness of step i comes from
(seed, i), so a resumed training continues exactly.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from eas_sdk.errors import TrainingError
from eas_sdk.space import registry as spaces
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space, size_of
from eas_train import checkpoint
from eas_train.clock import clock
from eas_train.data.augment import as_tensor, augment, blend_partners
from eas_train.data.imageset import ImageSet, superclass_of_class
from eas_train.distributed import Share, WholeBatchStatistics, share
from eas_train.progress import progress
from eas_train.recipe import Phase, SupernetRecipe
from eas_train.strategy.registry import strategy
from eas_train.strategy.trial import Trial
from eas_train.strategy.uniform import Moment, Uniform
from eas_train.supernet.loss import cross_entropy, distillation, superclass_mask
from eas_train.supernet.model import Supernet
from eas_train.supernet.resize import images_for
from eas_train.supernet.sort import sort_channels
from eas_train.supernet.spread import spread_weights

CHECKPOINT = "supernet.pt"
LOG = "supernet.jsonl"


@dataclass(frozen=True)
class TrainingData:
    """The training drawings, which stay where they are, and the class structure on the training device."""

    images: npt.NDArray[np.uint8]
    """N x S x S x 4; may be a memmap."""
    targets: Tensor
    """N, class indices."""
    superclass_of: Tensor
    """C, superclass index of each class."""

    @classmethod
    def from_set(cls, data: ImageSet, device: torch.device) -> TrainingData:
        return cls(
            data.images,
            torch.from_numpy(data.targets).to(device),
            torch.from_numpy(superclass_of_class(data.superclasses)).to(device),
        )

    def drawings(self, index: Tensor) -> Tensor:
        """n x 4 x S x S in [0, 1] on the device."""
        return as_tensor(self.images[index.cpu().numpy()], self.targets.device)


def train_supernet(
    recipe: SupernetRecipe,
    data: ImageSet,
    folder: Path,
    device: torch.device,
    *,
    validation: ImageSet | None = None,
    teacher: Path | None = None,
) -> Supernet:
    """Train, or go on training, the supernet of `recipe`; checkpoints and a log are kept in `folder`.

    Processes that joined (see distributed.py) share every batch; the first of them writes.

    Args:
        validation: what a strategy tries sub-networks on; the even one tries none.
        teacher: the folder of a finished training of `recipe.teacher()`, whose result this one begins with.

    Raises:
        TrainingError: the checkpoint belongs to another recipe or data set, the loss is no longer finite, or a batch
            cannot be shared evenly, or a strategy needs validation drawings, or one process.
    """
    part = share()
    if recipe.tries_on_validation and (validation is None or part.size > 1):
        raise TrainingError(
            f"the strategy {recipe.strategy.kind!r} tries sub-networks on validation drawings, in one process; got "
            f"{'none' if validation is None else f'{part.size} processes'}"
        )
    if recipe.batch_size % part.size:
        raise TrainingError(
            f"batch_size must be a multiple of the {part.size} processes that share it; got {recipe.batch_size}"
        )
    start, first = None, recipe.teacher()
    if teacher is not None and first is not None:
        start = checkpoint.load(teacher / CHECKPOINT, recipe=first.fingerprint(data))

    def make(net: Supernet) -> Uniform:
        trial = Trial(net, validation, device) if recipe.tries_on_validation and validation is not None else None
        return strategy(recipe, net, trial)

    fingerprint = recipe.fingerprint(data, validation)
    return train_over(recipe.space(), recipe, data, folder, device, make, fingerprint, start)[0]


def train_over(
    space: Space,
    recipe: SupernetRecipe,
    data: ImageSet,
    folder: Path,
    device: torch.device,
    make: Callable[[Supernet], Uniform],
    fingerprint: str,
    start: dict[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> tuple[Supernet, Uniform]:
    """The training itself, over any space: the supernet, and its strategy at the end.

    Args:
        make: makes the strategy.
        fingerprint: what the checkpoint must carry.
        start: state of another training's checkpoint, which this one goes on from.
        weights: state of another supernet, whose weights this one begins with as far as it has them.
    """
    part = share()
    torch.manual_seed(recipe.seed)
    net = new_supernet(space, recipe, data, device)
    if weights is not None:
        own_names = net.state_dict().keys()
        net.load_state_dict({name: value for name, value in weights.items() if name in own_names}, strict=False)
    optimizer = sgd(net, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    chosen = make(net)
    own = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint)
    state = own or start
    step, before = 0, 0.0
    if state is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
    if own is not None and "strategy" in own:
        chosen.restore(own["strategy"])
    elif own is None and start is not None:
        chosen.counted(start.get("strategy", {}).get("optimised_images", 0))
    training = TrainingData.from_set(data, device)
    total = recipe.total_steps
    now = clock(device)
    began, saved = now(), time.monotonic()
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
                "seconds": before + now() - began,
                "finished": step == total or chosen.finished,
                "strategy": chosen.state(),
                "left": [(str(architecture), score) for architecture, score in chosen.left()],
                "space": space.to_json(),
            },
        )

    with progress("supernet", total, step, shown=part.rank == 0) as update:
        while step < total and not chosen.finished:
            phase, at = recipe.phase_at(step)
            if at == 0 and (phase.sort_channels or phase.spread_weights):
                if phase.sort_channels:
                    sort_channels(net, tiers=phase.sort_tiers)
                else:
                    spread_weights(net)
                optimizer.state.clear()
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(phase, at)
            losses = _step(model, net.space, optimizer, phase, training, recipe, step, part, chosen)
            step += 1
            if step % 20 == 0 and part.rank == 0:
                _log(folder / LOG, step, phase.name, losses)
            if time.monotonic() - saved >= recipe.checkpoint_every_s or step == total or chosen.finished:
                save()
                saved = time.monotonic()
            update(step, f"{phase.name} loss {losses[0]:.3f}")
    return net, chosen


def load_supernet(
    recipe: SupernetRecipe, data: ImageSet, folder: Path, device: torch.device, validation: ImageSet | None = None
) -> Supernet:
    """The trained supernet of `folder`.

    Raises:
        TrainingError: there is none, it is of another recipe, or its training is not finished.
    """
    state = checkpoint.load(folder / CHECKPOINT, recipe=recipe.fingerprint(data, validation))
    if state is None or not state.get("finished", state["step"] == recipe.total_steps):
        done = 0 if state is None else state["step"]
        raise TrainingError(
            f"{folder} holds no finished supernet ({done} of {recipe.total_steps} steps); run the supernet stage"
        )
    space = spaces.from_json(state["space"]) if "space" in state else recipe.space()
    net = new_supernet(space, recipe, data, device)
    net.load_state_dict(state["net"])
    return net.eval()


def new_supernet(space: Space, recipe: SupernetRecipe, data: ImageSet, device: torch.device) -> Supernet:
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
    data: TrainingData,
    recipe: SupernetRecipe,
    step: int,
    part: Share,
    chosen: Uniform,
) -> list[float]:
    """One optimiser step; the losses of its sub-networks, in order.

    Raises:
        TrainingError: a loss or the gradient is not finite; the weights are left as they were.
    """
    device = data.targets.device
    seed = recipe.seed * 1_000_003 + step
    rng = random.Random(seed)
    torch.manual_seed(seed + part.rank * 2**40)  # of the dropout before the classifier alone
    generator = torch.Generator(device).manual_seed(seed)
    index = _batch(len(data.targets), recipe.batch_size, recipe.seed, step).to(device)
    targets = data.targets[index]
    drawings = data.drawings(part.of(index))
    if recipe.augmentation.p_blend:
        partners = data.drawings(part.of(same_kind(data.targets, targets, generator)))
        drawings = blend_partners(drawings, partners, recipe.augmentation.p_blend, generator, part)
    size = phase.image_size or size_of(space, space.largest)
    images = augment(drawings, size, recipe.augmentation, generator, part)
    images = images.contiguous(memory_format=torch.channels_last)
    mask = part.of(superclass_mask(targets, data.superclass_of, phase.superclass_dropout, generator))
    targets = part.of(targets)
    norm = None if part.size == 1 else WholeBatchStatistics(space.epsilon)

    def forward(architecture: Architecture) -> Tensor:
        seen = images_for(space, architecture, images, phase.image_size)
        mixed = recipe.mixed_precision and device.type == "cuda"
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            logits: Tensor = model(seen, architecture, norm)
        return logits

    architectures = phase_architectures(space, phase, rng, chosen, step)
    teacher: Tensor | None = None
    if phase.distillation and architectures[0] != space.largest:
        with torch.no_grad():
            teacher = forward(space.largest)
    losses = []
    for i, architecture in enumerate(architectures):
        last = i == len(architectures) - 1
        with model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext():
            logits = forward(architecture)
            loss = cross_entropy(logits, targets, mask, smoothing=recipe.label_smoothing)
            rate = optimizer.param_groups[0]["lr"]
            moment = Moment(step, rate, architecture, images, mask, logits, phase.image_size)
            if architecture != space.largest and (lesson := chosen.lesson(moment)):
                loss = loss + lesson.weight * distillation(logits, lesson.logits, mask)
            elif architecture == space.largest:
                teacher = logits.detach()
            elif phase.distillation and teacher is not None:
                loss = torch.lerp(loss, distillation(logits, teacher, mask), phase.distillation)
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
    chosen.counted(len(architectures) * len(index))
    if not phase.largest_only:
        chosen.after(moment)
    return losses


def _batch(count: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Indices of one batch: consecutive epochs, each a permutation that depends on (seed, epoch) alone."""
    start = step * batch_size
    epochs = range(start // count, (start + batch_size - 1) // count + 1)
    orders = [torch.randperm(count, generator=torch.Generator().manual_seed(seed * 7919 + e)) for e in epochs]
    return torch.cat(orders)[start - epochs[0] * count :][:batch_size]


def same_kind(all_targets: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
    """For every target, the index of a random drawing of the same class."""
    noise = torch.rand(len(targets), len(all_targets), generator=generator, device=targets.device)
    return noise.masked_fill(all_targets.unsqueeze(0) != targets.unsqueeze(1), -1).argmax(1)


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
