"""One gradient step over several sub-networks of a batch, and what each of them learns from."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_train.data.feed import Batch
from eas_train.distributed import Share, WholeBatchStatistics
from eas_train.strategy.uniform import Lesson, Moment, Uniform
from eas_train.supernet.loss import (
    cross_entropy,
    distillation,
    feature_distance,
    mixed_targets,
    superclass_mask,
    with_neighbours,
)
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import Norm
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.resize import images_for
from eas_train.supernet.teacher import Teacher


class Answering(nn.Module):
    """A supernet whose forward gives logits and features, as `Supernet.answer`: what processes share."""

    def __init__(self, net: Supernet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, architecture: Architecture, norm: Norm | None) -> tuple[Tensor, Tensor]:
        return self.net.answer(images, architecture, norm)


@dataclass(frozen=True, eq=False)
class Stepper:
    """What all steps of a training have in common.

    Attributes:
        model: an `Answering` supernet, perhaps shared by processes.
        chosen: the strategy; superclass_of: [C] of each class.
    """

    model: nn.Module
    space: Space
    optimizer: torch.optim.Optimizer
    recipe: SupernetRecipe
    chosen: Uniform
    superclass_of: Tensor
    part: Share

    @classmethod
    def of(
        cls,
        net: Supernet,
        optimizer: torch.optim.Optimizer,
        recipe: SupernetRecipe,
        chosen: Uniform,
        superclass_of: Tensor,
        part: Share,
    ) -> Stepper:
        model: nn.Module = Answering(net)
        if part.size > 1:
            # Sub-networks leave weights unused; what several of them accumulate is reduced with the last one's
            # gradients.
            model = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
        return cls(model, net.space, optimizer, recipe, chosen, superclass_of, part)

    def step(self, phase: Phase, batch: Batch, step: int, frozen: Teacher | None) -> list[float]:
        """One optimiser step; the losses of its sub-networks, in order.

        Args:
            frozen: the teacher, where the largest network of the step is none.

        Raises:
            TrainingError: a loss or the gradient is not finite; the weights are left as they were.
        """
        recipe, device, part = self.recipe, self.superclass_of.device, self.part
        seed = recipe.seed * 1_000_003 + step
        torch.manual_seed(seed + part.rank * 2**40)  # of the dropout before the classifier alone
        targets, mask = self._labels(phase, batch, seed)
        architectures = phase_architectures(self.space, phase, random.Random(seed), self.chosen, step)
        teacher: tuple[Tensor, Tensor] | None = None
        if frozen is not None:
            with autocast(recipe, device):
                teacher = frozen.answer(batch.images, phase.image_size)
        elif phase.distillation and architectures[0] != self.space.largest:
            with torch.no_grad():
                teacher = self._answer(phase, batch, self.space.largest)
        losses = []
        for i, architecture in enumerate(architectures):
            with self._alone(last=i == len(architectures) - 1):
                logits, features = self._answer(phase, batch, architecture)
                rate = self.optimizer.param_groups[0]["lr"]
                moment = Moment(step, rate, architecture, batch.images, mask, logits, phase.image_size)
                largest = architecture == self.space.largest
                lesson = None if largest else self.chosen.lesson(moment)
                if lesson is None and phase.distillation and not (largest and frozen is None):
                    assert teacher is not None
                    lesson = Lesson(teacher[0], phase.distillation)
                    if phase.feature_distillation:
                        lesson = dataclasses.replace(
                            lesson, features=teacher[1], feature_weight=phase.feature_distillation
                        )
                if largest and frozen is None:
                    teacher = logits.detach(), features.detach()
                weight = 1.0 if lesson is None else phase.label_weight
                loss = logits.new_zeros(()) if lesson is None else _taught(lesson, logits, features, mask)
                if weight:
                    loss = loss + weight * cross_entropy(logits, targets, mask, smoothing=recipe.label_smoothing)
                loss.backward()
            losses.append(part.mean(float(loss.detach())))
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        gradient = float(torch.nn.utils.clip_grad_norm_(trained, recipe.clip_norm))
        if not math.isfinite(sum(losses) + gradient):
            raise TrainingError(
                f"losses {losses} and gradient norm {gradient} must stay finite; they do not at step {step}. Lower "
                f"the learning rate of phase {phase.name!r} ({phase.learning_rate}); the last checkpoint is kept"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.chosen.counted(len(architectures) * len(batch.images) * part.size)
        if not phase.largest_only:
            self.chosen.after(moment)
        return losses

    def _labels(self, phase: Phase, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """Targets [N] or [N, C], and which logits count [N, C]."""
        labels, superclass_of = batch.targets, self.superclass_of
        if phase.images == "unlabelled":
            return labels, labels.new_ones(len(labels), len(superclass_of), dtype=torch.bool)
        noise = torch.Generator(superclass_of.device).manual_seed(seed)
        both = labels if batch.own is None else with_neighbours(labels)
        mask = superclass_mask(both, superclass_of, phase.superclass_dropout, noise, self.part)
        return labels if batch.own is None else mixed_targets(labels, batch.own, len(superclass_of)), mask

    def _answer(self, phase: Phase, batch: Batch, architecture: Architecture) -> tuple[Tensor, Tensor]:
        """Logits and features of a sub-network that is trained."""
        seen = images_for(self.space, architecture, batch.images, phase.image_size)
        whole = self.part.size > 1 and self.recipe.normalisation == "batch"
        norm = WholeBatchStatistics(self.space.epsilon) if whole else None
        with autocast(self.recipe, self.superclass_of.device):
            logits, features = self.model(seen, architecture, norm)
        return logits, features

    @contextmanager
    def _alone(self, *, last: bool) -> Iterator[None]:
        """Gradients of several sub-networks are reduced with the last one's."""
        with self.model.no_sync() if isinstance(self.model, DistributedDataParallel) and not last else nullcontext():
            yield


def _taught(lesson: Lesson, logits: Tensor, features: Tensor, mask: Tensor) -> Tensor:
    loss = lesson.weight * distillation(logits, lesson.logits, mask)
    if lesson.features is not None:
        loss = loss + lesson.feature_weight * feature_distance(features, lesson.features)
    return loss


def phase_architectures(
    space: Space, phase: Phase, rng: random.Random, chosen: Uniform, step: int
) -> list[Architecture]:
    """The sub-networks of one step; the largest comes first when the phase trains it."""
    if phase.largest_only:
        return [space.largest]
    fixed = [space.largest, space.smallest] if phase.sandwich else []
    return fixed + [chosen.draw(phase, rng, step) for _ in range(phase.networks - len(fixed))]


def autocast(recipe: SupernetRecipe, device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the recipe allows it and the device computes in it."""
    able = device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    enabled: AbstractContextManager[None] = torch.autocast(
        device.type, torch.bfloat16, enabled=recipe.mixed_precision and able
    )
    return enabled
