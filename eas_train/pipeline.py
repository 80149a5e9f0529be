"""All stages of a training, each resumable on its own: supernet, statistics, predictor, selector, router, bundle.

Each stage keeps its result on disk and reads those before it; a stage that is done is not done again.
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
import torch
from pydantic import BaseModel
from torch import Tensor

from eas_sdk.bank import container
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.shipped import OF_A_TRAINING
from eas_sdk.errors import BundleError, DataError, InputError, TrainingError, closest
from eas_sdk.latency.table import MAX_BYTES
from eas_sdk.names import is_utf8
from eas_sdk.regular import read_regular
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import size_of
from eas_sdk.space.sample import random_architecture
from eas_sdk.task import Superclass
from eas_train import bundle as bundles
from eas_train import checkpoint
from eas_train.accuracy import accuracy_table
from eas_train.data.feed import random_images
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images, Splits, check_tasks, evenly
from eas_train.diagnosis.measure import TRAINING_IMAGES, Diagnosis, diagnose
from eas_train.diagnosis.report import PICTURE, kept
from eas_train.distributed import is_first
from eas_train.generator.measure import measure, shown_images
from eas_train.nse.history import read_history
from eas_train.nse.rounds import evolve_space
from eas_train.pictures import Shown, divided, to_calibrate, to_prove
from eas_train.recipe import Recipe
from eas_train.report.judge import judge
from eas_train.report.live import LivePage
from eas_train.report.page import PAGE, write_page
from eas_train.report_file import read_report
from eas_train.router.calibrate import TrainedRouter, finish
from eas_train.router.data import RouterData, check_others
from eas_train.router.member import train_member
from eas_train.router.network import new_router
from eas_train.router.train import train_router
from eas_train.selection import Given, Measured, Selection, Trained, select
from eas_train.statistics.model import StatisticsModel, arrays, fit, from_arrays, observe, of_learned
from eas_train.strategy.recipe import NseRecipe
from eas_train.supernet.identity import CHECKPOINT as SUPERNET
from eas_train.supernet.identity import fingerprint_in
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import SupernetRecipe, grouping
from eas_train.supernet.teacher import Teacher
from eas_train.supernet.train import Origin, load_supernet, train_supernet
from eas_train.temperature import temperatures

STAGES = ("supernet", "statistics", "predictor", "selector", "router", "bundle")
BY_PREDICTOR = ("generator", "search")
"""Ways of picking architectures that measure sub-networks first."""

BUNDLE = OF_A_TRAINING
REPORT = "report.json"


@dataclass
class Training:
    """One training: a recipe, its data, its folder and its device. Finished stages are loaded when needed.

    Attributes:
        attributions: whose drawings these are, for the bundle.
        others: drawings of other classes, for the router: of the same superclasses, and of one more for what belongs
            to none. Without them it is trained on the bank's classes alone.
        unlabelled: images that phases of `images = "unlabelled"` train on.
        teacher: what phases of `teacher = "frozen"` learn from; by default the largest network when the first begins.
        calibration: photos that the bundle carries for integer exports; by default training images.
        origin: what the supernet begins with where the recipe says "bundle".
        answered: whether the labels are the teacher's own answers.
        shared: whether the folder serves other trainings too. Each stage then has a folder of its own in it, named
            after all that it depends on, so that trainings which agree up to a stage do it once.

    Raises:
        DataError: a superclass has no validation or no test drawings, or the name of a word that means a task, or
            `others` has other superclasses; a name or a credit is no text in UTF-8.
    """

    recipe: Recipe
    data: Splits[Images]
    folder: Path
    device: torch.device
    attributions: tuple[str, ...] = ()
    others: Splits[Images] | None = None
    unlabelled: Images | None = None
    teacher: Teacher | None = None
    calibration: Images | None = None
    answered: bool = False
    origin: Origin | None = None
    shared: bool = False

    def __post_init__(self) -> None:
        check_tasks(self.data)
        for text in (self.recipe.name, *self.attributions):
            if not is_utf8(text):
                raise DataError(f"the name of a bundle and its attributions are text in UTF-8; got {text!r}")
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
            "predictor": self.measure_networks,
            "selector": self.train_selector,
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
        known = self.data.train, self.data.validation, self.unlabelled, self.teacher, self.origin
        chain = self._fingerprint("supernet", self.recipe.supernet, *known)
        made = {"supernet": chain}
        data = {
            "predictor": self.data.validation.digest,
            "bundle": f"{self.data.test.digest} {self.recipe.name} {self.attributions}"
            + ("" if self.calibration is None else self.calibration.digest),
        }
        data["router"] = data["predictor"]
        if self.others is not None:
            data["router"] += f" {self.others.train.digest} {self.others.validation.digest}"
            if chain == self.recipe.supernet.fingerprint(*known):
                data["router"] += f" {grouping(self.others.train)}"
        for stage in STAGES[1:]:
            settings = self._settings(stage)
            if stage == "router":  # depends on the network that it begins with or is, and only the bundle on it
                begins = "supernet" if self.recipe.router.input_size is None else "statistics"
                text = f"{made[begins]} {settings} {data[stage]}"
                made[stage] = hashlib.sha256(text.encode()).hexdigest()
                data["bundle"] += made[stage]
                continue
            chain = hashlib.sha256(f"{chain} {settings} {data.get(stage, '')}".encode()).hexdigest()
            made[stage] = chain
        return made

    def _fingerprint(self, stage: str, recipe: SupernetRecipe, *data: Any) -> str:
        """Of the training of a supernet; see `fingerprint_in`."""
        before = recipe.fingerprint(*data, grouped=False)
        return fingerprint_in(self._place(stage, before), recipe, *data)

    def _settings(self, stage: str) -> str:
        """All settings that a stage depends on, as text."""
        recipe = self.recipe
        if stage != "selector":
            section: BaseModel = getattr(recipe, stage)
            return section.model_dump_json(exclude={"checkpoint_every_s"})
        if recipe.selector == "random":
            return recipe.selector
        chosen: BaseModel = getattr(recipe, recipe.selector)
        table: str | None = getattr(chosen, "latency_table", None)
        latencies = "" if table is None else read_regular(table, MAX_BYTES).decode()
        samples = f" {recipe.bundle.samples}" if recipe.selector == "generator" else ""
        unused = set() if getattr(chosen, "madds", ()) else {"madds"}
        return f"{recipe.selector} {chosen.model_dump_json(exclude=unused)}{samples}{latencies}"

    def place(self, stage: str) -> Path:
        """The folder of a stage's files."""
        return self._place(stage, self.fingerprints[stage])

    def _place(self, stage: str, fingerprint: str) -> Path:
        return self.folder / f"{stage}-{fingerprint[:16]}" if self.shared else self.folder

    def train_supernet(self) -> dict[str, Any]:
        recipe = self.recipe.supernet
        if isinstance(recipe.strategy, NseRecipe):  # whose phases are those of every round
            return self._evolve_space(self.place("supernet"))
        start, teacher = None, recipe.teacher()
        if self.shared and teacher is not None:
            start = self._place("teacher", self._fingerprint("teacher", teacher, self.data.train))
            train_supernet(teacher, self.data.train, start, self.device)
        place, validation = self.place("supernet"), self.data.validation
        page = None if self.shared else LivePage(self.recipe.name, place, recipe)
        train_supernet(
            recipe,
            self.data.train,
            place,
            self.device,
            validation=validation,
            unlabelled=self.unlabelled,
            teacher=start,
            frozen=self.teacher,
            origin=self.origin,
            watched=page is not None,
            told=None if page is None else page.after,
        )
        report = {"stage": "supernet", "steps": recipe.total_steps}
        if page is None:  # studies train supernets by the dozen, and compare them in their own way
            return report
        if is_first():
            page.finish()
        return report | {"diagnosis": self.diagnose()} if is_first() else report

    def diagnose(self, *, most_images: int | None = None) -> dict[str, Any]:
        """Whether the supernet's capacity is used (see `diagnosis.measure`); kept beside it, with a picture.

        Args:
            most_images: validation images at most; by default 2000 of 64 px, and fewer of larger ones, but 500.

        Raises:
            TrainingError: its training is not finished.
        """
        place, validation = self.place("supernet"), self.data.validation

        def find() -> Diagnosis:
            strengths = self.recipe.supernet.augmentation
            began = self._supernet(as_it_began=True)
            seen = self.recipe.supernet.judged_images
            fair = max(500, 2000 * 64 // max(64, size_of(self.net.space, self.net.space.largest)))
            return diagnose(
                self.net,
                began,
                self.data.train,
                validation,
                strengths,
                most_images=min(most_images or fair, seen),
                most_training=min(TRAINING_IMAGES, seen),
            )

        return kept(place, f"{self.fingerprints['supernet']} {validation.digest} {most_images}", find)

    def _evolve_space(self, place: Path) -> dict[str, Any]:
        recipe = self.recipe.supernet
        done = checkpoint.load(place / SUPERNET, recipe=self.fingerprints["supernet"])
        if done is None:
            evolve_space(recipe, self.data.train, self.data.validation, place, self.device)
        return {"stage": "supernet", "steps": recipe.total_steps, "rounds": len(read_history(place)[1])}

    @cached_property
    def net(self) -> Supernet:
        return self._supernet()

    def _supernet(self, *, as_it_began: bool = False) -> Supernet:
        return load_supernet(
            self.recipe.supernet,
            self.data.train,
            self.place("supernet"),
            self.device,
            fingerprint=self.fingerprints["supernet"],
            as_it_began=as_it_began,
            origin=self.origin,
        )

    @cached_property
    def trained(self) -> Trained:
        """What the supernet's training left beside the weights."""
        state = checkpoint.load(self.place("supernet") / SUPERNET, recipe=self.fingerprints["supernet"])
        assert state is not None
        left, counted = state.get("left", ()), state.get("strategy", {})
        counts = (int(counted.get(name, 0)) for name in ("optimised_images", "evaluated_images"))
        return Trained(tuple(Architecture.parse(text) for text, _ in left), *counts)

    def training_images(self, count: int) -> Callable[[int], Tensor]:
        """A function from a seed to `count` augmented training images, N x 3 x S x S on the device."""
        images = self.data.train
        size, settings = self.net.space.input_sizes[-1], self.recipe.supernet.augmentation

        return lambda seed: random_images(images, count, size, settings, self.device, seed)

    def collect_statistics(self) -> dict[str, Any]:
        path, fingerprint = self.place("statistics") / "statistics.pt", self.fingerprints["statistics"]
        settings = self.recipe.statistics
        if checkpoint.load(path, recipe=fingerprint) is None:
            space, seconds = self.net.space, 0.0
            if self.net.learned is not None:
                model = of_learned(self.net.learned, settings.rank)
            else:
                observations = observe(
                    self.net,
                    self.training_images(settings.images),
                    lambda rng: random_architecture(space, rng),
                    settings.networks,
                    settings.seed,
                    cache=path.with_name("observations.pt"),
                    fingerprint=fingerprint,
                )
                model = fit(space, observations, rank=settings.rank, own=settings.own, upstream=settings.upstream)
                seconds = observations.seconds
            tensors = {name: torch.from_numpy(array) for name, array in arrays(model).items()}
            checkpoint.save(path, {"recipe": fingerprint, "tensors": tensors, "seconds": seconds})
        recorded = settings.networks if self.recipe.supernet.normalisation == "batch" else 0
        return {"stage": "statistics", "networks": recorded, "rank": settings.rank}

    @cached_property
    def statistics(self) -> StatisticsModel:
        self.collect_statistics()
        path = self.place("statistics") / "statistics.pt"
        state = checkpoint.load(path, recipe=self.fingerprints["statistics"])
        assert state is not None
        tensors = {name: tensor.numpy() for name, tensor in state["tensors"].items()}
        return from_arrays(self.net.space, tensors).to(self.device)

    @cached_property
    def superclass_of(self) -> Tensor:
        return torch.from_numpy(superclass_of_class(self.data.superclasses)).to(self.device)

    @cached_property
    def measured(self) -> Measured:
        """Random sub-networks, scored on validation and training drawings."""
        settings = self.recipe.predictor
        rng = random.Random(settings.seed)
        space = self.net.space
        networks = [random_architecture(space, rng) for _ in range(settings.networks)]
        shown, training = shown_images(
            evenly(self.data.validation, settings.images),
            self.data.train,
            settings,
            space.input_sizes[-1],
            self.recipe.supernet.augmentation,
            self.device,
        )
        scores, seconds = measure(
            self.net,
            self.statistics,
            networks,
            shown,
            self.superclass_of,
            self.place("predictor") / "measured.json",
            fingerprint=self.fingerprints["predictor"],
        )
        owner = np.empty(len(training), np.int64)
        owner[shown.drawing.cpu().numpy()] = self.superclass_of[shown.targets].cpu().numpy()
        return Measured(space.encode(networks), scores, owner, training, seconds)

    def measure_networks(self) -> dict[str, Any]:
        needed = self.recipe.selector in BY_PREDICTOR
        return {"stage": "predictor", "networks": len(self.measured.scores) if needed else 0}

    def train_selector(self) -> dict[str, Any]:
        return {"stage": "selector", "way": self.recipe.selector, **self.selection.figures}

    @cached_property
    def selection(self) -> Selection:
        """What picks architectures."""
        fingerprint, folder = self.fingerprints["selector"], self.place("selector")
        path = folder / "selector.pt"
        state = checkpoint.load(path, recipe=fingerprint)
        if state is None:
            validation = self.data.validation
            made = select(
                Given(
                    self.recipe,
                    self.net,
                    self.statistics,
                    lambda: self.measured,
                    validation,
                    self.trained,
                    folder,
                    fingerprint,
                )
            )
            tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in made.tensors.items()}
            facts = {"config": dict(made.config), "figures": dict(made.figures), "seconds": made.seconds}
            state = {"recipe": fingerprint, "tensors": tensors, **facts}
            checkpoint.save(path, state)
        arrays = {name: tensor.numpy() for name, tensor in state["tensors"].items()}
        return Selection(state["config"], arrays, state["figures"], state["seconds"])

    @property
    def supernet_seconds(self) -> float:
        """How long its training took."""
        state = checkpoint.load(self.place("supernet") / SUPERNET, recipe=self.fingerprints["supernet"])
        assert state is not None
        return float(state["seconds"])

    def seconds(self) -> dict[str, float]:
        """How long each stage up to the selector took, on the device of the training."""
        supernet, statistics = (
            checkpoint.load(self.place(stage) / f"{stage}.pt", recipe=self.fingerprints[stage])
            for stage in ("supernet", "statistics")
        )
        assert supernet is not None
        assert statistics is not None
        measuring = self.measured.seconds if self.recipe.selector in BY_PREDICTOR else 0.0
        return {
            "supernet": supernet["seconds"],
            "statistics": statistics["seconds"],
            "predictor": measuring,
            "selector": self.selection.seconds,
        }

    @property
    def has_router(self) -> bool:
        """Whether the bundle gets one: it starts from an elastic bank's weights."""
        return isinstance(self.recipe.supernet.search_space(), ElasticSpace)

    def train_router(self) -> dict[str, Any]:
        if not self.has_router:
            return {"stage": "router", "steps": 0}
        return {"stage": "router", "steps": self.recipe.router.steps, **self.router.figures}

    @property
    def router_member(self) -> Architecture | None:
        """The member of the bank whose features the router reads; None where its network is its own."""
        size, space = self.recipe.router.input_size, self.net.space
        if size is None:
            return None
        if size not in space.input_sizes:
            raise TrainingError(f"a router's input_size is one of the space's, {space.input_sizes}; got {size}")
        return dataclasses.replace(space.largest, input_size=size if len(space.input_sizes) > 1 else None)

    @cached_property
    def router(self) -> TrainedRouter:
        settings, known = self.recipe.router, self.data
        others = None if self.others is None else self.others.train
        data = RouterData.of(known.train, others, self.device)
        outputs = len(known.superclasses) + (data.groups[2] > 0)
        strange = None if self.others is None else self.others.validation
        if (member := self.router_member) is not None:
            norm = self.statistics.norm(member)
            return train_member(self.net, member, norm, data, known.validation, strange, settings, outputs)
        torch.manual_seed(settings.seed)
        net = new_router(self.net, settings, self.superclass_of.tolist(), outputs, self.device)
        strengths = self.recipe.supernet.augmentation
        fingerprint = self.fingerprints["router"]
        folder = self.place("router")
        train_router(settings, net, data, strengths, folder, outputs=outputs, fingerprint=fingerprint)
        return finish(net, data, known.validation, strange, settings, strengths, outputs)

    def whole_bundle(self, *, router: bool = True) -> Bundle:
        """The bundle in float32 with nothing pruned and no accuracy figures."""
        made = bundles.assemble(
            self.recipe.name,
            self.net,
            self.statistics,
            self.selection,
            [Superclass(s.name, s.class_names) for s in self.data.superclasses],
            router=self.router if router and self.has_router else None,
            training={},
            attributions=self.attributions,
        )
        return bundles.with_pictures(made, *self._pictures(made))

    def _pictures(self, bundle: Bundle) -> tuple[Shown, Shown]:
        settings = self.recipe.bundle
        side = settings.calibration_side or bundle.input_size
        if self.calibration is not None:
            return divided(self.calibration, side, bundle)
        return (
            to_calibrate(self.data.train, settings.calibration_images, side, self.recipe.supernet.augmentation),
            to_prove(self.data.validation, settings.proof_images, side),
        )

    def temperatures(self) -> tuple[float, ...]:
        """What makes the logits of every input size probabilities; see `eas_train.temperature`."""
        return temperatures(
            self.net,
            self.statistics,
            self.data.validation,
            self.device,
            teacher=self.teacher if self.answered else None,
            teacher_temperature=self.recipe.bundle.teacher_temperature,
        )

    def write_bundle(self) -> dict[str, Any]:
        """Assemble, prune, measure, write; the report says how many bytes each step took off."""
        folder, fingerprint = self.place("bundle"), self.fingerprints["bundle"]
        path = folder / BUNDLE
        done = read_report(folder / REPORT)
        there = _is_whole(path) and (self.shared or (folder / PAGE).is_file())
        if done.get("fingerprint") == fingerprint and there:
            return done
        settings = self.recipe.bundle
        whole = dataclasses.replace(self.whole_bundle(), temperatures=self.temperatures())
        halved = bundles.half(whole, integers=settings.integers)
        needed = () if self.router_member is None else (self.router_member,)
        pruned = bundles.prune(halved, bundles.selectable(halved, settings.prune_budgets, needed))
        table = accuracy_table(pruned, self.data, settings, self.device)
        router = dict(self.router.figures) if self.has_router else {}
        recipe = self.recipe.model_dump(mode="json")
        training: dict[str, Any] = {"recipe": recipe, "accuracy": table, "router": router}
        if self.answered:
            training["answers_of"] = self.recipe.supernet.pretrained
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
            "selector": {"way": self.recipe.selector, **self.selection.figures},
            "accuracy": table,
            "router": router,
            "temperatures": list(final.temperatures),
        }
        if not self.shared:
            judged = judge(final, self.data.test, self.device)
            report["test"] = {each.name: each.figures() for each in judged}
            report["page"] = str(write_page(folder, final, judged, self.data.test, self.place("supernet") / PICTURE))
        write_atomically(folder / REPORT, [json.dumps(report, indent=1).encode()])
        return report


def _is_whole(path: Path) -> bool:
    """Whether a bundle is there, every byte of it."""
    try:
        container.read(path)
    except (BundleError, FileNotFoundError):
        return False
    return True
