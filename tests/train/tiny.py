"""A search space, drawings and recipes so small that every stage of a training takes seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from eas_sdk.bank.bundle import Bundle
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import SMALL
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import Head, Stem, Unit
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture
from eas_sdk.task import Superclass as Task
from eas_train.bundle import assemble
from eas_train.data.drawing_augment import DrawingAugmentation
from eas_train.data.imageset import ImageSet, Superclass
from eas_train.data.photo_augment import PhotoAugmentation
from eas_train.data.photoset import PhotoFiles, PhotoSet
from eas_train.data.splits import Splits
from eas_train.generator.model import ArchitectureGenerator
from eas_train.selection import Selection
from eas_train.statistics.model import Context, StatisticsModel, fit, observe
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.train import train_supernet

# More threads would sum in another order, and other work on the machine would slow all of them down.
torch.set_num_threads(1)

CPU = torch.device("cpu")

CHOICES = {"depths": (1, 2, 3), "kernels": (3, 5, 7), "expansions": (2, 3, 4)}
TINY = ElasticSpace(
    input_sizes=(24,),
    stem=Stem(8, 2, "hard_swish"),
    units=(
        Unit(8, 1, (1,), (3,), (1,), "relu"),
        Unit(16, 2, **CHOICES, activation="relu"),
        Unit(24, 2, **CHOICES, activation="hard_swish", squeeze_excite=True),
        Unit(24, 1, **CHOICES, activation="hard_swish", squeeze_excite=True),
    ),
    head=Head(48, "hard_swish", 64),
)
"""Three units with all that the real spaces have, and a residual block that begins a unit (never dropped)."""

SIZES = ElasticSpace(
    input_sizes=(16, 24, 32),
    stem=Stem(8, 2, "relu6"),
    units=(
        Unit(8, 1, (1,), (3,), (1,), "relu6"),
        Unit(16, 2, (1, 2), (3,), (2, 3, 4), "relu6"),
        Unit(24, 2, (1, 2, 3), (3, 5), (2, 4), "relu6"),
    ),
    head=Head(48, "relu6"),
    padding="same",
    epsilon=1e-3,
)
"""Units with choices of their own, and images of several sizes, as of EfficientNet-Lite0."""

SPACES = {"tiny": TINY, "sizes": SIZES, "small": SMALL}

GENTLE = DrawingAugmentation(
    rotation_degrees=10,
    log_scale=0.1,
    shear=0.05,
    shift=0.05,
    warp=0,
    p_outline=0,
    hue_turns=0.02,
    p_any_hue=0,
    saturation=0.1,
    brightness=0.1,
    contrast=0.1,
    p_grey=0,
    p_noise=0,
    p_erase=0,
)
"""Leaves colours and shapes recognisable at 24 px."""


class TinyRecipe(SupernetRecipe):
    """Trains the tiny space instead of a preset."""

    def search_space(self) -> ElasticSpace:
        return TINY


class SizesRecipe(TinyRecipe):
    """Trains the space of several image sizes."""

    def search_space(self) -> ElasticSpace:
        return SIZES


def tiny_recipe(kind: type[TinyRecipe] = TinyRecipe, **changes: object) -> TinyRecipe:
    """Six steps: two of the teacher, then four of the sandwich with channels sorted."""
    settings: dict[str, object] = {
        "batch_size": 8,
        "dropout": 0.2,
        "mixed_precision": False,  # what is compared is compared exactly, on every processor
        "checkpoint_every_s": 0,
        "augmentation": GENTLE,
        "phases": (
            Phase(
                name="teacher",
                steps=2,
                learning_rate=0.05,
                largest_only=True,
                image_size=16,
            ),
            sandwich(steps=4, sort_channels=True),
        ),
    }
    return kind.model_validate(settings | changes)


def sandwich(steps: int, **changes: object) -> Phase:
    """Largest, smallest and one random network a step."""
    settings: dict[str, object] = {
        "name": "sandwich",
        "steps": steps,
        "learning_rate": 0.05,
        "networks": 3,
        "sandwich": True,
        "distillation": 1.0,
        "superclass_dropout": 0.5,
    }
    return Phase.model_validate(settings | changes)


SUPERCLASSES = (
    Superclass("solids", ("red disc", "green square", "blue triangle")),
    Superclass("lines", ("yellow ring", "cyan cross", "magenta bar")),
)
COLOURS = ((220, 40, 40), (40, 180, 60), (50, 70, 220), (230, 210, 40), (40, 200, 210), (210, 50, 200))


def drawings(each: int, seed: int, size: int = 24) -> ImageSet:
    """`each` drawings of six classes: a shape in its colour, a little varied, on a transparent ground."""
    rng = np.random.default_rng(seed)
    images, targets = [], []
    for target in range(6):
        for _ in range(each):
            y, x = np.mgrid[0:size, 0:size] / size - 0.5 + rng.uniform(-0.05, 0.05, (2, 1, 1))
            scale = rng.uniform(0.28, 0.4)
            distance = np.hypot(x, y)
            shape = (
                distance < scale,
                np.maximum(abs(x), abs(y)) < scale,
                (y < scale) & (y > 2 * abs(x) - scale),
                abs(distance - scale) < 0.08,
                (np.minimum(abs(x), abs(y)) < 0.08) & (np.maximum(abs(x), abs(y)) < scale),
                (abs(y) < 0.1) & (abs(x) < scale),
            )[target]
            colour = np.clip(COLOURS[target] + rng.normal(0, 12, 3), 0, 255)
            images.append(np.dstack([np.broadcast_to(colour, (size, size, 3)), 255 * shape]).astype(np.uint8))
            targets.append(target)
    return ImageSet(
        np.stack(images),
        np.array(targets, np.int64),
        tuple(c for s in SUPERCLASSES for c in s.class_names),
        SUPERCLASSES,
        ("numpy",) * len(targets),
        tuple(f"drawing {i}" for i in range(len(targets))),
    )


def others(each: int, seed: int, size: int = 24) -> ImageSet:
    """Drawings of other classes: squares and crosses in colours of their own, and noise, which is neither."""
    rng = np.random.default_rng(seed)
    known = drawings(each, seed, size)
    squares, crosses = (known.images[known.targets == target][..., [2, 0, 1, 3]] for target in (1, 4))
    noise = rng.integers(0, 256, (2 * each, size, size, 4), np.uint8)
    noise[..., 3] = 255
    superclasses = (
        Superclass("solids", ("odd square",)),
        Superclass("lines", ("odd cross",)),
        Superclass("none", ("noise",)),
    )
    count = 4 * each
    return ImageSet(
        np.concatenate([squares, crosses, noise]),
        np.repeat([0, 1, 2], [each, each, 2 * each]),
        tuple(c for s in superclasses for c in s.class_names),
        superclasses,
        ("numpy",) * count,
        tuple(f"other {i}" for i in range(count)),
    )


def other_splits() -> Splits:
    """Drawings of other classes by three seeds."""
    return Splits(others(20, 0), others(8, 1), others(8, 2))


def splits() -> Splits:
    """Drawings of the same six classes by three seeds."""
    return Splits(drawings(30, 0), drawings(8, 1), drawings(8, 2))


def architectures(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    """The smallest, the largest, and random members between them."""
    rng = random.Random(seed)
    return [space.smallest, space.largest, *(random_architecture(space, rng) for _ in range(count - 2))]


def random_net(space: Space, classes: int = 6, seed: int = 0) -> Supernet:
    """A supernet in evaluation mode with random parameters (a new one's gammas and biases are 0 or 1)."""
    torch.manual_seed(seed)
    net = Supernet(space, classes)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.5, 1.5)
            elif not name.endswith("weight"):
                parameter.normal_(0, 0.3)
    return net.eval()


def random_images(space: Space, count: int, seed: int = 0) -> Tensor:
    """`count` x 3 x S x S, each with a mean and a contrast of its own; S is the largest input size."""
    generator, side = torch.Generator().manual_seed(seed), space.input_sizes[-1]
    noise = torch.rand(count, 3, side, side, generator=generator)
    return noise * torch.rand(count, 3, 1, 1, generator=generator)


def collected(net: Supernet, networks: int = 6, images: int = 16, context: Context = "upstream") -> StatisticsModel:
    """Statistics of random networks on random images."""
    observations = observe(
        net,
        lambda seed: random_images(net.space, images, seed),
        lambda rng: random_architecture(net.space, rng),
        networks,
    )
    return fit(net.space, observations, context=context)


def random_bundle(space: ElasticSpace = TINY, seed: int = 0, sharpness: float = 3.0) -> Bundle:
    """A bundle of random weights, straight from torch, that never selects a largest kernel.

    Args:
        sharpness: scale of the generator's heads.
    """
    net = random_net(space, seed=seed)
    budgets = torch.tensor([0.2, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64) * 1e6
    generator = ArchitectureGenerator(space, 2, budgets, embedding=8, hidden=16)
    with torch.no_grad():
        for head in (generator.depth, generator.kernel, generator.expansion, generator.size):
            head.weight.normal_(0, sharpness)
        generator.kernel.bias[-1] = -1000.0
    rng = np.random.default_rng(seed)
    tensors = {name: tensor.numpy() for name, tensor in generator.export(2).items()}
    tensors["predictor"] = rng.normal(0.1, 0.1, (2, generator.layout.gates)).astype(np.float32)
    config = {"kind": "generator", "budgets": generator.budgets.tolist(), "samples": 16}
    return assemble(
        "tiny",
        net,
        collected(net),
        Selection(config, tensors),
        [Task(s.name, s.class_names) for s in SUPERCLASSES],
        training={},
        attributions=("numpy",),
    )


def train_in(folder: Path, steps: int) -> Supernet:
    """A training of `steps` sandwich steps that saves after each; also run by a process that is killed."""
    recipe = tiny_recipe(phases=(sandwich(steps=steps),))
    return train_supernet(recipe, drawings(4, 0), folder, CPU)


def press_control_c() -> None:
    raise KeyboardInterrupt


def interrupted_after(
    step: int, action: Callable[[], object] = press_control_c
) -> Callable[..., AbstractContextManager[Callable[[int, str], None]]]:
    """A progress that does something, by default press Ctrl-C, once `step` steps are done."""

    @contextmanager
    def progress(*_: object, **__: object) -> Iterator[Callable[[int, str], None]]:
        yield lambda done, _: action() if done == step else None

    return progress


def equal_states(a: Supernet, b: Supernet) -> bool:
    """Whether two supernets have the same parameters, bit for bit."""
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def means(values: Sequence[Tensor]) -> Tensor:
    """The mean of tensors of one shape."""
    return torch.stack(list(values)).mean(0)


PHOTO = PhotoAugmentation(least_area=0.6, p_flip=0.5, jitter=0.1)


def photos(folder: Path, each: int, seed: int = 0) -> PhotoSet:
    """The drawings of `drawings` on grey, as JPEG files of several heights and widths below `folder`."""
    drawn, rng = drawings(each, seed, 40), np.random.default_rng(seed)
    files = []
    for i, (pixels, target) in enumerate(zip(drawn.images, drawn.targets, strict=True)):
        path = folder / str(target) / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGBA", (40, 40), "grey")
        image.alpha_composite(Image.fromarray(pixels))
        size = (int(rng.integers(30, 60)), int(rng.integers(30, 60)))
        image.convert("RGB").resize(size).save(path, quality=92)
        files.append(path)
    return PhotoSet(PhotoFiles.of(folder, files), drawn.targets, drawn.superclasses)
