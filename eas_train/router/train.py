"""Training of the router: superclasses, "none", and the bank's classes beside them, which teach it what it sees."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_train import checkpoint
from eas_train.data.feed import AnyAugmentation, Asked, Batch, feed
from eas_train.progress import progress
from eas_train.recipe import RouterRecipe
from eas_train.router.data import NO_CLASS, RouterData
from eas_train.supernet.model import Supernet
from eas_train.supernet.optimizer import learning_rate, sgd
from eas_train.supernet.recipe import Phase

CHECKPOINT = "router.pt"
LOG = "router.jsonl"


def train_router(
    recipe: RouterRecipe,
    net: Supernet,
    data: RouterData,
    augmentation: AnyAugmentation,
    folder: Path,
    *,
    outputs: int,
    fingerprint: str,
) -> Supernet:
    """Train, or go on training, a router; a checkpoint and a log are kept in `folder`.

    Args:
        net: as `new_router` made it.
        outputs: logits of superclasses and "none"; those of the bank's classes follow.

    Raises:
        TrainingError: the checkpoint belongs to another recipe or data, or the loss is no longer finite.
    """
    optimizer = sgd(net, momentum=0.9, weight_decay=recipe.weight_decay)
    state, step = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint), 0
    if state is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    schedule = Phase(
        name="router", steps=recipe.steps, learning_rate=recipe.learning_rate, warmup_steps=recipe.warmup_steps
    )
    saved = time.monotonic()
    net.train()
    device, side = data.class_of.device, net.space.input_sizes[0]
    seeds = (_seed(recipe, later) for later in range(step, recipe.steps))
    fed = batches(data, recipe, augmentation, device, side, recipe.batch_size, seeds)
    with progress("router", recipe.steps, step) as update, closing(fed):
        for batch in fed:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(schedule, step)
            loss = _step(net, optimizer, data, batch, recipe, outputs, step)
            step += 1
            if step % 20 == 0:
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / LOG).open("a") as file:
                    file.write(json.dumps({"step": step, "loss": round(loss, 4)}) + "\n")
            if time.monotonic() - saved >= recipe.checkpoint_every_s or step == recipe.steps:
                state = {"recipe": fingerprint, "net": net.state_dict(), "optimizer": optimizer.state_dict()}
                checkpoint.save(folder / CHECKPOINT, {**state, "step": step})
                saved = time.monotonic()
            update(step, f"loss {loss:.3f}")
    return net.eval()


def batches(
    data: RouterData,
    recipe: RouterRecipe,
    augmentation: AnyAugmentation,
    device: torch.device,
    side: int,
    count: int,
    seeds: Iterable[int],
    *,
    workers: int | None = None,
) -> Generator[Batch, None, None]:
    """A batch of `count` augmented images for each seed, n x 3 x side x side; groups by the recipe's shares."""
    weights = [share if have else 0.0 for share, have in zip(recipe.shares, data.groups, strict=True)]
    counts = [round(count * weight / sum(weights)) for weight in weights]
    counts[0] += count - sum(counts)

    def asked(seed: int) -> Asked:
        rng, picked, first = np.random.default_rng(seed), [], 0
        for have, wanted in zip(data.groups, counts, strict=True):
            picked.append(first + rng.integers(max(have, 1), size=wanted))
            first += have
        return Asked(np.concatenate(picked), seed, side)

    yield from feed(data.images, map(asked, seeds), augmentation, device, workers=workers)


def _seed(recipe: RouterRecipe, step: int) -> int:
    return recipe.seed * 1_000_003 + step


def _step(
    net: Supernet,
    optimizer: torch.optim.Optimizer,
    data: RouterData,
    batch: Batch,
    recipe: RouterRecipe,
    outputs: int,
    step: int,
) -> float:
    """One optimiser step; its loss.

    Raises:
        TrainingError: loss or gradient is not finite; the weights are left as they were.
    """
    torch.manual_seed(_seed(recipe, step))  # of the dropout
    superclasses, classes = data.superclass_of[batch.targets], data.class_of[batch.targets]
    logits: Tensor = net(batch.images, net.space.largest)
    known = classes != NO_CLASS
    loss = F.cross_entropy(logits[:, :outputs], superclasses, label_smoothing=recipe.label_smoothing)
    of_classes = F.cross_entropy(logits[known, outputs:], classes[known], label_smoothing=recipe.label_smoothing)
    total = loss + recipe.class_weight * of_classes
    total.backward()
    norm = float(torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm))
    if not math.isfinite(float(total.detach()) + norm):
        raise TrainingError(
            f"the loss {float(total.detach())} and gradient norm {norm} must stay finite; they do not at step {step}. "
            f"Lower the router's learning rate ({recipe.learning_rate}); the last checkpoint is kept"
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())
