"""Training of the router: superclasses, "none", and the bank's classes beside them, which teach it what it sees."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_train import checkpoint
from eas_train.data.augment import Augmentation, augment, blend_partners
from eas_train.progress import progress
from eas_train.recipe import Phase, RouterRecipe
from eas_train.router.data import NO_CLASS, RouterData
from eas_train.supernet.model import Supernet
from eas_train.supernet.train import learning_rate, same_kind, sgd

CHECKPOINT = "router.pt"
LOG = "router.jsonl"


def train_router(
    recipe: RouterRecipe,
    net: Supernet,
    data: RouterData,
    augmentation: Augmentation,
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
    with progress("router", recipe.steps, step) as update:
        while step < recipe.steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(schedule, step)
            loss = _step(net, optimizer, data, recipe, augmentation, outputs, step)
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


def draw(
    data: RouterData,
    recipe: RouterRecipe,
    count: int,
    size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of augmented images N x 3 x size x size, their superclasses and classes; groups by the recipe's shares.

    All randomness comes from `generator`, on the drawings' device.
    """
    device = data.images.device
    weights = [share if have else 0.0 for share, have in zip(recipe.shares, data.groups, strict=True)]
    counts = [round(count * weight / sum(weights)) for weight in weights]
    counts[0] += count - sum(counts)
    picked, first = [], 0
    for have, wanted in zip(data.groups, counts, strict=True):
        if wanted:
            picked.append(first + torch.randint(have, (wanted,), generator=generator, device=device))
        first += have
    index = torch.cat(picked)
    drawings = data.images[index].float().div_(255)
    partners = data.images[same_kind(data.kinds, data.kinds[index], generator)].float().div_(255)
    drawings = blend_partners(drawings, partners, augmentation.p_blend, generator)
    images = augment(drawings, size, augmentation, generator).contiguous(memory_format=torch.channels_last)
    return images, data.superclasses[index], data.classes[index]


def _step(
    net: Supernet,
    optimizer: torch.optim.Optimizer,
    data: RouterData,
    recipe: RouterRecipe,
    augmentation: Augmentation,
    outputs: int,
    step: int,
) -> float:
    """One optimiser step; its loss.

    Raises:
        TrainingError: loss or gradient is not finite; the weights are left as they were.
    """
    seed = recipe.seed * 1_000_003 + step
    torch.manual_seed(seed)  # of the dropout
    generator = torch.Generator(data.images.device).manual_seed(seed)
    images, superclasses, classes = draw(
        data, recipe, recipe.batch_size, net.space.input_sizes[0], augmentation, generator
    )
    logits: Tensor = net(images, net.space.largest)
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
