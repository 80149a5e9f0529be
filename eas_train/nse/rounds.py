"""NSE's rounds: train over some operations a cell, keep those of the best networks, refill with ones not yet seen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Block
from eas_sdk.space.cells.space import CellSpace
from eas_train import checkpoint
from eas_train.clock import clock
from eas_train.data.feed import random_images
from eas_train.data.splits import Images
from eas_train.nse.fitness import Fitness, mean_space
from eas_train.nse.history import Blocks, Round, read_history, write_history
from eas_train.nse.retrieval import Judged, retrieve
from eas_train.strategy.recipe import NseRecipe
from eas_train.strategy.trial import Trial
from eas_train.supernet.identity import CHECKPOINT, fingerprint_in
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import SupernetRecipe
from eas_train.supernet.train import new_supernet, train_over


def evolve_space(
    recipe: SupernetRecipe, data: Images, validation: Images, folder: Path, device: torch.device
) -> list[Round]:
    """All rounds. `folder` then holds the last supernet, cut to the operations of its front, and the history.

    Every part is kept: what was stopped goes on.

    Raises:
        TrainingError: the space is none of means, the checkpoint belongs to another training, or no network meets the
            target.
    """
    settings = recipe.strategy
    assert isinstance(settings, NseRecipe)
    whole = mean_space(recipe.search_space())
    chain = fingerprint_in(folder, recipe, data, validation)
    pending = shuffled(whole, recipe.seed)
    inherited: tuple[Blocks, ...] = ((),) * len(whole.cells)
    front: tuple[Judged, ...] = ()
    rounds: list[Round] = []
    counts = {"optimised_images": 0, "evaluated_images": 0}
    seconds = 0.0
    net: Supernet | None = None
    now = clock(device)
    while settings.rounds is None or len(rounds) < settings.rounds:
        space = refilled(whole, inherited, pending, settings.candidates)
        if space is None:
            break
        number = len(rounds)
        place = _place(folder, number)
        chain = _chained(chain, number, space)
        before = inherited

        def make(net: Supernet, before: tuple[Blocks, ...] = before) -> Fitness:
            return Fitness(settings, net, Trial(net, validation, device), recipe.seed, before)

        weights = net.state_dict() if settings.inherit_weights and net is not None else None
        net, fitness = train_over(space, recipe, data, place, device, make, chain, weights=weights)
        assert isinstance(fitness, Fitness)
        trained = checkpoint.load(place / CHECKPOINT, recipe=chain)
        assert trained is not None
        began = now()
        net.eval()
        count, size = settings.recalibration_images, space.input_size
        images = random_images(data, count, size, recipe.augmentation, device, recipe.seed)
        found, judged = retrieve(
            fitness, settings, [j.architecture for j in front], images, place / "judged.json", chain
        )
        seconds += trained["seconds"] + now() - began
        front = tuple(found)
        alive = tuple(
            tuple(b for b, lives in zip(cell.blocks, fitness.alive[fitness.cell_of == c], strict=True) if lives)
            for c, cell in enumerate(space.cells)
        )
        searched = tuple(cell.blocks for cell in space.cells)
        rounds.append(Round(searched, alive, front, tuple(judged)))
        for name in counts:
            counts[name] += int(getattr(fitness, name))
        inherited = aggregated(front, len(whole.cells))
        write_history(folder, settings.unit, rounds)
    if net is None:
        raise TrainingError(
            f"the first round of NSE takes {settings.candidates} operations a cell; a cell has only "
            f"{min(len(cell.blocks) for cell in whole.cells)}"
        )
    _leave(net, front, recipe, data, validation, folder, seconds, counts)
    return rounds


def shuffled(space: CellSpace, seed: int) -> list[list[Block]]:
    """The operations of each cell in the order of their turns (section 4.1)."""
    orders = []
    for c, cell in enumerate(space.cells):
        blocks = list(cell.blocks)
        random.Random(seed * 1009 + c).shuffle(blocks)
        orders.append(blocks)
    return orders


def refilled(
    whole: CellSpace, inherited: Sequence[Blocks], pending: list[list[Block]], candidates: int
) -> CellSpace | None:
    """The next round's space: what is inherited, and operations that no round has seen (section 3.3.3).

    Those leave `pending`. None where a cell has too few of them, or no cell has room, which ends the search.
    """
    missing = [max(0, candidates - len(blocks)) for blocks in inherited]
    if not any(missing) or any(len(turns) < count for turns, count in zip(pending, missing, strict=True)):
        return None
    chosen = []
    for kept, turns, count in zip(inherited, pending, missing, strict=True):
        chosen.append({*kept, *turns[:count]})
        del turns[:count]
    return _of_blocks(whole, chosen)


def _of_blocks(whole: CellSpace, chosen: Sequence[Collection[Block]]) -> CellSpace:
    """The space with these blocks of each cell alone, in its order."""
    cells = (
        dataclasses.replace(cell, blocks=tuple(block for block in cell.blocks if block in kept))
        for cell, kept in zip(whole.cells, chosen, strict=True)
    )
    return dataclasses.replace(whole, cells=tuple(cells))


def aggregated(front: Sequence[Judged], cells: int) -> tuple[Blocks, ...]:
    """The operations of each cell that some network of the front has."""
    return tuple(
        tuple(dict.fromkeys(block for one in front for block in one.architecture.units[c])) for c in range(cells)
    )


def round_supernets(
    recipe: SupernetRecipe, data: Images, validation: Images, folder: Path, device: torch.device
) -> list[Supernet]:
    """The supernet of every round, as its front was judged.

    Raises:
        TrainingError: the folder holds no such rounds.
    """
    whole, chain, nets = mean_space(recipe.search_space()), fingerprint_in(folder, recipe, data, validation), []
    for number, one in enumerate(read_history(folder)[1]):
        space = _of_blocks(whole, one.searched)
        chain = _chained(chain, number, space)
        state = checkpoint.load(_place(folder, number) / CHECKPOINT, recipe=chain)
        if state is None:
            raise TrainingError(f"every round leaves its supernet; {_place(folder, number)} holds none")
        net = new_supernet(space, recipe, data, device)
        net.load_state_dict(state["net"])
        nets.append(net.eval())
    return nets


def _place(folder: Path, number: int) -> Path:
    return folder / f"round-{number}"


def _chained(chain: str, number: int, space: CellSpace) -> str:
    """Fingerprint of a round: of all before it, and of what it searches."""
    return hashlib.sha256(f"{chain} {number} {json.dumps(space.to_json())}".encode()).hexdigest()


def _leave(
    net: Supernet,
    front: Sequence[Judged],
    recipe: SupernetRecipe,
    data: Images,
    validation: Images,
    folder: Path,
    seconds: float,
    counts: dict[str, int],
) -> None:
    """Write the last supernet, without what its front does not use, as the result of the whole training."""
    ranked = sorted(front, key=lambda one: -one.accuracy)
    space = net.space.narrowed([one.architecture for one in ranked])
    small = new_supernet(space, recipe, data, next(net.parameters()).device)
    kept = small.state_dict()
    whole = net.state_dict()
    small.load_state_dict({name: whole[name] for name in kept})
    checkpoint.save(
        folder / CHECKPOINT,
        {
            "recipe": fingerprint_in(folder, recipe, data, validation),
            "net": small.state_dict(),
            "step": recipe.total_steps,
            "seconds": seconds,
            "finished": True,
            "strategy": dict(counts),
            "left": [(str(one.architecture), one.accuracy) for one in ranked],
            "space": space.to_json(),
        },
    )
