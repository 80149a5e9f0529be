"""Training of the generator (EAS, Algorithm 1) with the supernet's weights frozen.

The paper's loss is measured on validation drawings (`objective = "cross-entropy"`). With `objective = "predictor"` the
accuracy predictor, which was fitted to many networks on the same drawings, stands in for it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_sdk.latency.table import read as read_latency_table
from eas_sdk.space.tables import SumTable, madds_table
from eas_train import checkpoint
from eas_train.clock import clock
from eas_train.data.feed import AnyAugmentation, Asked, augmented
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images
from eas_train.generator.cost import cost_table
from eas_train.generator.gates import Shells, expected_cost, gated_forward, sample_gates
from eas_train.generator.model import ArchitectureGenerator
from eas_train.generator.paths import mixed_forward, sample_paths
from eas_train.progress import progress
from eas_train.recipe import GeneratorRecipe
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.loss import cross_entropy
from eas_train.supernet.model import Supernet

CHECKPOINT = "generator.pt"
LOG = "generator.jsonl"
PAPER_RANGE = 400.0
"""B_H - B_L in the paper, in millions: lambda is stated for costs in these units."""


def new_generator(recipe: GeneratorRecipe, net: Supernet, superclass_sizes: list[int]) -> ArchitectureGenerator:
    """An untrained generator whose budgets span the space, from the smallest to the largest network."""
    space = net.elastic
    classes = round(sum(superclass_sizes) / len(superclass_sizes))
    low, high = madds_table(space).total(space, space.encode([space.smallest, space.largest]), classes).tolist()
    torch.manual_seed(recipe.seed)
    budgets = torch.linspace(low, high, recipe.budgets, dtype=torch.float64)
    embeddings = len(superclass_sizes) if recipe.conditioned else 1
    return ArchitectureGenerator(space, embeddings, budgets, recipe.embedding, recipe.hidden, recipe.encoding)


def train_generator(
    recipe: GeneratorRecipe,
    net: Supernet,
    statistics: StatisticsModel,
    worth: npt.NDArray[np.float64],
    data: Images,
    augmentation: AnyAugmentation,
    folder: Path,
    *,
    fingerprint: str,
) -> tuple[ArchitectureGenerator, float]:
    """Train, or go on training, the generator; the checkpoint and a log are kept in `folder`.

    Each step draws superclasses and budgets, samples one architecture for each, and follows Eq. 4: the
    cross-entropy over the superclass's own classes plus lambda times the squared distance from the budget,
    the latter in units in which the range of budgets is 400, as in the paper. The learning rate falls to zero
    along a cosine.

    Args:
        augmentation: of the images; pairs are never mixed.
        worth: [T, gates], what each gate adds to the score of a superclass, where that is the objective.

    Returns:
        The generator, and the seconds that its steps took.

    Raises:
        TrainingError: the checkpoint belongs to another training, or the loss is no longer finite.
    """
    device = next(net.parameters()).device
    folder.mkdir(parents=True, exist_ok=True)
    net.eval().requires_grad_(False)
    sizes = [len(s.class_names) for s in data.superclasses]
    latency = None if recipe.latency_table is None else read_latency_table(recipe.latency_table)
    costs = [cost_table(net.elastic, size, latency) for size in sizes]
    generator = new_generator(recipe, net, sizes).to(device)
    optimizer = torch.optim.Adam(generator.parameters(), lr=recipe.learning_rate)
    state = checkpoint.load(folder / CHECKPOINT, recipe=fingerprint)
    step, before = 0, 0.0
    if state is not None:
        generator.load_state_dict(state["generator"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
    now = clock(device)
    began = now() - before
    owner = superclass_of_class(data.superclasses)
    superclass_of = torch.from_numpy(owner).to(device)
    members = [np.flatnonzero(owner[data.targets] == t) for t in range(len(sizes))]
    scores = torch.from_numpy(worth.astype(np.float32)).to(device)

    def request_loss(rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss and the signed distance from the budget (in the paper's units) of one random request."""
        t = int(torch.randint(len(sizes), (), generator=rng, device=device))
        shells, miss = _draw(recipe, generator, net, t, costs[t], sizes[t], rng)
        if recipe.objective == "predictor":
            return -recipe.score_weight * (scores[t] @ shells.effective_gates()), miss
        picked = torch.randint(len(members[t]), (recipe.batch_size,), generator=rng, device=device).cpu().numpy()
        seed = int(torch.randint(2**62, (), generator=rng, device=device))
        size = recipe.image_size or net.space.input_sizes[-1]
        batch = augmented(data, Asked(members[t][picked], seed, size), augmentation, device)
        forward = gated_forward if recipe.encoding == "single-path" else mixed_forward
        out = forward(net, batch.images, shells, statistics)
        return cross_entropy(out, batch.targets, (superclass_of == t).expand(len(picked), -1)), miss

    start = step
    with progress("generator", recipe.steps, step) as update:
        while step < recipe.steps:
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * recipe.learning_rate * (1 + math.cos(math.pi * step / recipe.steps))
            rng = torch.Generator(device).manual_seed(recipe.seed * 1_000_003 + step)
            total = distance = 0.0
            for _ in range(recipe.requests):
                value, miss = request_loss(rng)
                loss = (value + recipe.cost_weight * miss**2) / recipe.requests
                loss.backward()
                total += float(value.detach()) / recipe.requests
                distance += abs(float(miss.detach())) / recipe.requests
            norm = float(torch.nn.utils.clip_grad_norm_(generator.parameters(), 5.0))
            if not math.isfinite(total + distance + norm):
                raise TrainingError(
                    f"{recipe.objective} {total}, distance {distance} and gradient norm {norm} must stay finite; "
                    f"they do not at step {step} of the generator. Lower learning_rate "
                    f"({recipe.learning_rate}); the last checkpoint is kept"
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 20 == 0:
                line = {"step": step, recipe.objective: round(total, 4), "distance": round(distance, 3)}
                with (folder / LOG).open("a") as file:
                    file.write(json.dumps(line) + "\n")
            if step % 100 == 0 or step == recipe.steps:
                checkpoint.save(
                    folder / CHECKPOINT,
                    {
                        "recipe": fingerprint,
                        "generator": generator.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": step,
                        "seconds": now() - began,
                    },
                )
            update(step, f"{recipe.objective} {total:.3f}, {distance:.1f} from the budget")
    return generator.eval(), before if step == start else now() - began


def _draw(
    recipe: GeneratorRecipe,
    generator: ArchitectureGenerator,
    net: Supernet,
    superclass: int,
    cost: SumTable,
    classes: int,
    rng: torch.Generator,
) -> tuple[Shells, Tensor]:
    """An architecture for a random budget, and its signed distance from it in the paper's units."""
    device = generator.budgets.device
    low, high = float(generator.budgets[0]), float(generator.budgets[-1])
    budget = low + (high - low) * torch.rand(1, generator=rng, device=device).double()
    logits = generator(torch.tensor([superclass], device=device), budget)[0]
    if recipe.encoding == "single-path":
        shells = Shells.of(net.elastic, sample_gates(logits, recipe.temperature, rng))
    else:
        shells = sample_paths(net.elastic, logits, recipe.temperature, rng)
    return shells, (expected_cost(cost, shells, classes) - budget[0].float()) * (PAPER_RANGE / (high - low))
