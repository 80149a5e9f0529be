"""What is done with photos of one's own where no recipe says it: by how many they are."""

from __future__ import annotations

from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_train.recipe import Recipe

TRANSFER, SCRATCH = "own", "own-scratch"
"""The recipes."""
FEW = 2000
"""Training photos below which the weights of the bundle rest: only statistics, adapters and classifier are trained."""
WEIGHTS_RATE = 1e-4
"""Where they do not rest: what learnt from a million photos is moved by little."""
RESTING = ("stem", "unit", "head", "feature")
EPOCHS = {TRANSFER: 8, SCRATCH: 60}
STEPS = {TRANSFER: (100, 2000), SCRATCH: (500, 20_000)}
"""At least and at most, of all phases together."""
ROUTED_PX = 64
"""The router reads images of this size, or of the next that the space has."""


def sized(recipe: Recipe, space: Space, photos: int) -> Recipe:
    """One of the two recipes for a number of training photos, over the space that it trains."""
    supernet = recipe.supernet
    transfers = supernet.pretrained is not None
    kind = TRANSFER if transfers else SCRATCH
    least, most = STEPS[kind]
    wanted = min(max(round(EPOCHS[kind] * photos / supernet.batch_size), least), most)
    phases = tuple(phase.scaled(wanted / supernet.total_steps) for phase in supernet.phases)
    changes: dict[str, object] = {"phases": phases}
    router = recipe.router
    if transfers:
        if photos < FEW:
            changes["frozen"] = RESTING
        else:
            changes["phases"] = tuple(phase.model_copy(update={"learning_rate": WEIGHTS_RATE}) for phase in phases)
        if isinstance(space, ElasticSpace):
            fitting = [size for size in space.input_sizes if size >= ROUTED_PX] or [space.input_sizes[-1]]
            router = router.model_copy(update={"input_size": fitting[0]})
    return recipe.model_copy(update={"supernet": supernet.model_copy(update=changes), "router": router})
