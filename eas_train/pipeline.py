"""All stages of a training, each resumable on its own: supernet, statistics, predictor, generator, router, bundle.

Each stage keeps its result in one folder and reads those before it; a stage that is done is not done again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.bundle import Bundle
from eas_sdk.errors import DataError, InputError, closest
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import encode, gates_of_choices
from eas_sdk.space.sample import random_architecture
from eas_sdk.space.tables import madds_table
from eas_sdk.task import Superclass
from eas_train import bundle as bundles
from eas_train import checkpoint
from eas_train.data.augment import augment
from eas_train.data.imageset import ImageSet, Splits, digest, superclass_of_class
from eas_train.data.views import views
from eas_train.generator import predictor as predictors
from eas_train.generator.measure import Shown, measure
from eas_train.generator.model import ArchitectureGenerator
from eas_train.generator.train import new_generator, train_generator
from eas_train.recipe import Recipe
from eas_train.router.calibrate import TrainedRouter, finish
from eas_train.router.data import RouterData, check_others
from eas_train.router.network import new_router
from eas_train.router.train import train_router
from eas_train.statistics.model import StatisticsModel, arrays, fit, from_arrays, observe
from eas_train.supernet.evaluate import logits_of, within_superclass
from eas_train.supernet.model import Supernet
from eas_train.supernet.train import load_supernet, train_supernet

STAGES = ("supernet", "statistics", "predictor", "generator", "router", "bundle")
BUNDLE = "bundle.safetensors"
REPORT = "report.json"


@dataclass
class Training:
    """One training: a recipe, its data, its folder and its device. Finished stages are loaded when needed.

    Attributes:
        attributions: whose drawings these are, for the bundle.
        others: drawings of other classes, for the router: of the same superclasses, and of one more for what belongs
            to none. Without them it is trained on the bank's classes alone.

    Raises:
        DataError: a superclass has no validation or no test drawings, or `others` has other superclasses.
    """

    recipe: Recipe
    data: Splits
    folder: Path
    device: torch.device
    attributions: tuple[str, ...] = ()
    others: Splits | None = None

    def __post_init__(self) -> None:
        owner = superclass_of_class(self.data.superclasses)
        for name, part in (("validation", self.data.validation), ("test", self.data.test)):
            seen = set(owner[part.targets].tolist())
            lacking = [s.name for t, s in enumerate(self.data.superclasses) if t not in seen]
            if lacking:
                raise DataError(f"every superclass has {name} drawings; these have none: {', '.join(lacking)}")
        if self.others is not None:
            check_others(self.data, self.others)

    def run(self, stages: tuple[str, ...] = STAGES) -> dict[str, Any]:
        """Run stages in order; the report of the last one.

        Raises:
            InputError: a stage has no such name.
            TrainingError: an earlier stage is missing, or a checkpoint belongs to another recipe or data set.
        """
        actions: dict[str, Callable[[], dict[str, Any]]] = {
            "supernet": self.train_supernet,
            "statistics": self.collect_statistics,
            "predictor": self.fit_predictor,
            "generator": self.train_generator,
            "router": self.train_router,
            "bundle": self.write_bundle,
        }
        for stage in stages:
            if stage not in actions:
                raise InputError(f"a stage is one of {STAGES}; got {stage!r}; {closest(stage, STAGES)}")
        report: dict[str, Any] = {}
        for stage in stages:
            report = actions[stage]()
        return report

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What each stage depends on: its settings, the data that it uses first, all stages before."""
        chain = self.recipe.supernet.fingerprint(self.data.train)
        made = {"supernet": chain}
        data = {
            "predictor": digest(self.data.validation),
            "bundle": f"{digest(self.data.test)} {self.recipe.name} {self.attributions}",
        }
        data["router"] = data["predictor"]
        if self.others is not None:
            data["router"] += f" {digest(self.others.train)} {digest(self.others.validation)}"
        for stage in STAGES[1:]:
            settings = getattr(self.recipe, stage).model_dump_json(exclude={"checkpoint_every_s"})
            if stage == "router":  # depends on the supernet alone, and only the bundle on it
                text = f"{made['supernet']} {settings} {data[stage]}"
                made[stage] = hashlib.sha256(text.encode()).hexdigest()
                data["bundle"] += made[stage]
                continue
            if stage == "generator" and self.recipe.generator.latency_table is not None:
                settings += Path(self.recipe.generator.latency_table).read_text(encoding="utf-8")
            chain = hashlib.sha256(f"{chain} {settings} {data.get(stage, '')}".encode()).hexdigest()
            made[stage] = chain
        return made

    def train_supernet(self) -> dict[str, Any]:
        train_supernet(self.recipe.supernet, self.data.train, self.folder, self.device)
        return {"stage": "supernet", "steps": self.recipe.supernet.total_steps}

    @cached_property
    def net(self) -> Supernet:
        return load_supernet(self.recipe.supernet, self.data.train, self.folder, self.device)

    def training_images(self, count: int) -> Callable[[int], Tensor]:
        """A function from a seed to `count` augmented training images, N x 3 x S x S on the device."""
        images = torch.from_numpy(self.data.train.images.copy()).permute(0, 3, 1, 2).to(self.device)
        size, settings = self.net.space.input_size, self.recipe.supernet.augmentation

        def draw(seed: int) -> Tensor:
            rng = torch.Generator(self.device).manual_seed(seed)
            picked = torch.randint(len(images), (count,), generator=rng, device=self.device)
            batch = augment(images[picked].float().div_(255), size, settings, rng)
            return batch.contiguous(memory_format=torch.channels_last)

        return draw

    def collect_statistics(self) -> dict[str, Any]:
        path, fingerprint = self.folder / "statistics.pt", self.fingerprints["statistics"]
        settings = self.recipe.statistics
        if checkpoint.load(path, recipe=fingerprint) is None:
            space = self.net.space
            observations = observe(
                self.net,
                self.training_images(settings.images),
                lambda rng: random_architecture(space, rng),
                settings.networks,
                cache=self.folder / "observations.pt",
                fingerprint=fingerprint,
            )
            model = fit(space, observations, rank=settings.rank, own=settings.own, upstream=settings.upstream)
            tensors = {name: torch.from_numpy(array) for name, array in arrays(model).items()}
            checkpoint.save(path, {"recipe": fingerprint, "tensors": tensors})
        return {"stage": "statistics", "networks": settings.networks, "rank": settings.rank}

    @cached_property
    def statistics(self) -> StatisticsModel:
        self.collect_statistics()
        state = checkpoint.load(self.folder / "statistics.pt", recipe=self.fingerprints["statistics"])
        assert state is not None
        tensors = {name: tensor.numpy() for name, tensor in state["tensors"].items()}
        return from_arrays(self.net.space, tensors).to(self.device)

    def eval_images(self, data: ImageSet, count: int) -> tuple[Tensor, Tensor]:
        """`count` fixed views of every drawing, N*count x 3 x S x S, and their targets."""
        made = views(data.images, count, self.net.space.input_size, seed=0)
        flat = torch.from_numpy(made.reshape(-1, *made.shape[2:])).permute(0, 3, 1, 2).float().div_(255)
        targets = torch.from_numpy(np.repeat(data.targets, count))
        return flat.to(self.device, memory_format=torch.channels_last), targets.to(self.device)

    @cached_property
    def superclass_of(self) -> Tensor:
        return torch.from_numpy(superclass_of_class(self.data.superclasses)).to(self.device)

    @cached_property
    def predictor(self) -> predictors.Predictor:
        settings = self.recipe.predictor
        rng = random.Random(settings.seed)
        space = self.net.space
        networks = [random_architecture(space, rng) for _ in range(settings.networks)]
        shown, training = self.predictor_images()
        scores = measure(
            self.net,
            self.statistics,
            networks,
            shown,
            self.superclass_of,
            self.folder / "measured.json",
            fingerprint=self.fingerprints["predictor"],
        )
        owner = np.empty(len(training), np.int64)
        owner[shown.drawing.cpu().numpy()] = self.superclass_of[shown.targets].cpu().numpy()
        return predictors.fit(gates_of_choices(space, encode(space, networks)), scores, owner, training)

    def predictor_images(self) -> tuple[Shown, npt.NDArray[np.bool_]]:
        """What networks are scored on, and whether each drawing was trained on: views of all validation drawings,
        then augmented training images, each counted as a drawing of its own."""
        settings = self.recipe.predictor
        images, targets = self.eval_images(self.data.validation, settings.views)
        drawing = torch.arange(len(targets), device=self.device) // settings.views
        validation, more = len(self.data.validation), settings.training_images
        if more:
            train = self.data.train
            rng = torch.Generator(self.device).manual_seed(0)
            # Every drawing before any twice.
            order = torch.cat(
                [torch.randperm(len(train), generator=rng, device=self.device) for _ in range(-(-more // len(train)))]
            )[:more]
            drawings = torch.from_numpy(train.images[order.cpu().numpy()]).permute(0, 3, 1, 2).to(self.device)
            size, strengths = self.net.space.input_size, self.recipe.supernet.augmentation
            made = augment(drawings.float().div_(255), size, strengths, rng)
            images = torch.cat([images, made]).contiguous(memory_format=torch.channels_last)
            targets = torch.cat([targets, torch.from_numpy(train.targets).to(self.device)[order]])
            drawing = torch.cat([drawing, validation + torch.arange(more, device=self.device)])
        return Shown(images, targets, drawing), np.arange(validation + more) >= validation

    def fit_predictor(self) -> dict[str, Any]:
        return {"stage": "predictor", "rank_correlation": self.predictor.rank_correlation}

    def train_generator(self) -> dict[str, Any]:
        train_generator(
            self.recipe.generator,
            self.net,
            self.statistics,
            self.predictor,
            self.data.validation,
            self.folder,
            fingerprint=self.fingerprints["generator"],
        )
        return {"stage": "generator", "steps": self.recipe.generator.steps}

    @cached_property
    def generator(self) -> ArchitectureGenerator:
        self.train_generator()
        state = checkpoint.load(self.folder / "generator.pt", recipe=self.fingerprints["generator"])
        assert state is not None
        sizes = [len(s.class_names) for s in self.data.superclasses]
        generator = new_generator(self.recipe.generator, self.net, sizes)
        generator.load_state_dict(state["generator"])
        return generator.eval()

    def train_router(self) -> dict[str, Any]:
        return {"stage": "router", "steps": self.recipe.router.steps, **self.router.figures}

    @cached_property
    def router(self) -> TrainedRouter:
        settings, known = self.recipe.router, self.data
        others = None if self.others is None else self.others.train
        data = RouterData.of(known.train, others, self.device)
        outputs = len(known.superclasses) + (data.groups[2] > 0)
        torch.manual_seed(settings.seed)
        net = new_router(self.net, settings, self.superclass_of.tolist(), outputs, self.device)
        strengths = self.recipe.supernet.augmentation
        fingerprint = self.fingerprints["router"]
        train_router(settings, net, data, strengths, self.folder, outputs=outputs, fingerprint=fingerprint)
        strange = None if self.others is None else self.others.validation
        return finish(net, data, known.validation, strange, settings, strengths, outputs)

    def whole_bundle(self) -> Bundle:
        """The bundle in float32 with nothing pruned and no accuracy figures."""
        return bundles.assemble(
            self.recipe.name,
            self.net,
            self.statistics,
            self.generator,
            self.predictor,
            [Superclass(s.name, s.class_names) for s in self.data.superclasses],
            router=self.router,
            samples=self.recipe.bundle.samples,
            cost="madds" if self.recipe.generator.latency_table is None else "latency",
            training={},
            attributions=self.attributions,
            calibration=self.calibration_images(),
        )

    def calibration_images(self) -> npt.NDArray[np.uint8] | None:
        """Augmented training images, as many of every superclass, superclass-major: uint8 [N, S, S, 3]."""
        train, each = self.data.train, self.recipe.bundle.calibration_images
        if not each:
            return None
        owner = superclass_of_class(train.superclasses)[train.targets]
        rng = np.random.default_rng(0)
        picked = [rng.permutation(np.flatnonzero(owner == t))[:each] for t in range(len(train.superclasses))]
        drawings = torch.from_numpy(train.images[np.concatenate(picked)]).permute(0, 3, 1, 2).float().div_(255)
        settings, noise = self.recipe.supernet.augmentation, torch.Generator().manual_seed(0)
        made = augment(drawings, self.recipe.supernet.space().input_size, settings, noise)
        images: npt.NDArray[np.uint8] = made.permute(0, 2, 3, 1).mul(255).round().byte().numpy()
        return np.ascontiguousarray(images)

    def write_bundle(self) -> dict[str, Any]:
        """Assemble, prune, measure, write; the report says how many bytes each step took off."""
        path, fingerprint = self.folder / BUNDLE, self.fingerprints["bundle"]
        done = _read_report(self.folder / REPORT)
        if done.get("fingerprint") == fingerprint and path.is_file():
            return done
        settings = self.recipe.bundle
        whole = self.whole_bundle()
        halved = bundles.half(whole)
        pruned = bundles.prune(halved, bundles.selectable(halved, settings.prune_budgets))
        table = self.accuracy_table(pruned)
        router = dict(self.router.figures)
        training = {"recipe": self.recipe.model_dump(mode="json"), "accuracy": table, "router": router}
        final = dataclasses.replace(pruned, training=training)
        size = bundles.save(final, path)
        report = {
            "stage": "bundle",
            "fingerprint": fingerprint,
            "file": str(path),
            "bytes_float32": sum(t.nbytes for t in whole.tensors.values()),
            "bytes_float16": sum(t.nbytes for t in halved.tensors.values()),
            "bytes_pruned": sum(t.nbytes for t in pruned.tensors.values()),
            "bytes_file": size,
            "largest": str(pruned.space.largest),
            "predictor_rank_correlation": self.predictor.rank_correlation,
            "accuracy": table,
            "router": router,
        }
        write_atomically(self.folder / REPORT, [json.dumps(report, indent=1).encode()])
        return report

    def accuracy_table(self, bundle: Bundle) -> list[dict[str, Any]]:
        """Top-1 within the known superclass at evenly spaced budgets, on validation and test drawings."""
        settings = self.recipe.bundle
        selector = load_selector(bundle)
        space = bundle.space
        table = madds_table(space)
        ends = encode(space, [space.smallest, space.largest])
        requests, fractions = [], np.linspace(0, 1, settings.budgets).tolist()
        for t, superclass in enumerate(bundle.superclasses):
            low, high = table.total(space, ends, len(superclass.labels)).tolist()
            requests += [Request(((t, 1),), len(superclass.labels), int(low + f * (high - low))) for f in fractions]
        picked = selector.select(requests)
        classes = np.array([r.classes for r in requests])
        madds = table.total(space, encode(space, picked), classes).reshape(len(bundle.superclasses), -1)
        accuracy = {
            name: self._accuracies(bundle, picked, data).reshape(len(bundle.superclasses), -1)
            for name, data in (("validation", self.data.validation), ("test", self.data.test))
        }
        return [
            {
                "budget_fraction": f,
                "mean_madds": int(madds[:, i].mean()),
                "validation_top1": round(float(accuracy["validation"][:, i].mean()), 4),
                "test_top1": round(float(accuracy["test"][:, i].mean()), 4),
                "test_top1_by_superclass": {
                    s.name: round(float(v), 4) for s, v in zip(bundle.superclasses, accuracy["test"][:, i], strict=True)
                },
            }
            for i, f in enumerate(fractions)
        ]

    def _accuracies(self, bundle: Bundle, picked: list[Architecture], data: ImageSet) -> np.ndarray:
        """Top-1 of each architecture, with the bundle's own weights, on its own superclass's drawings.

        `picked` is superclass-major.
        """
        net, statistics = bundles.to_supernet(bundle, self.device)
        images, targets = self.eval_images(data, self.recipe.bundle.views)
        owner = self.superclass_of[targets]
        each = len(picked) // len(self.data.superclasses)
        result = []
        for i, architecture in enumerate(picked):
            mine = owner == i // each
            logits = logits_of(net, architecture, images[mine], statistics.norm(architecture))
            result.append(float(within_superclass(logits, targets[mine], self.superclass_of).float().mean()))
        return np.array(result)


def _read_report(path: Path) -> dict[str, Any]:
    """The report of a bundle that was written before; empty where there is none."""
    try:
        report = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
