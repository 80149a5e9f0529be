"""A router and the networks behind it as files that phones run, with a JSON that says how they fit together."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import making, write_atomically
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.exchange import put
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import InputError
from eas_sdk.export import SIGNATURE, Export, InputKind, check_place, export, load_exporter, text_path
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import Images, as_float_batch
from eas_sdk.router.model import RoutedModel
from eas_sdk.router.network import NONE

MANIFEST = "family.json"
FORMAT, VERSION = "eas-family", 2

HOW = (
    "Each network has an `input_size` of its own: cut out the image's central square and resize it, by an antialiased "
    "bicubic filter, to so many pixels a side. Run the router on that. Its outputs are probabilities, in the order of "
    "its labels. Where none of the superclasses reaches the threshold, the image shows none of them. Otherwise run the "
    "file of the most probable superclass on the same image, brought from the original to this network's size: its "
    "outputs are in the order of `labels`, whatever the file. Multiply each by the "
    "router's probability of the label's superclass (`superclass_of_label`), and divide by their sum: these are the "
    "probabilities of the labels. A file holds a network for each budget, by signature or function."
)


@dataclass(frozen=True)
class Family:
    """What was written.

    Attributes:
        folder: holds the files and `MANIFEST`.
        router: the router's file.
        networks: the file of each superclass.
    """

    folder: Path
    router: Export
    networks: Mapping[str, Export]

    @property
    def bytes(self) -> int:
        """Of all files but the manifest."""
        return self.router.bytes + sum(made.bytes for made in self.networks.values())


@dataclass(frozen=True, eq=False)
class _Router:
    """A router as `export` takes networks."""

    bundle: Bundle
    graph: Graph

    @property
    def labels(self) -> tuple[str, ...]:
        return self.graph.labels

    @property
    def classes(self) -> range:
        return range(len(self.bundle.labels))

    @property
    def input_size(self) -> int:
        return self.graph.input_size

    def reference(self, images: Images) -> Array:
        return NumpyEngine().compile(self.graph).run(as_float_batch(images, self.input_size))


DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
"""What Windows takes for a device, whatever the suffix."""

LONGEST_STEM = 48
"""In characters, of four bytes at most: file systems end names at 255 bytes."""


def file_stems(superclasses: Sequence[str]) -> list[str]:
    """A file name for each superclass, without its suffix: letters, digits, "-" and "_", each once, never the router's.

    Names of folders and of bundles from elsewhere may hold anything; the manifest says which file is whose.
    """
    taken, stems = {"router", *DEVICES}, []
    for name in superclasses:
        stem = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name))[:LONGEST_STEM]
        while stem.casefold() in taken:
            stem += "_"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def export_family(
    models: Mapping[str, RoutedModel],
    folder: str | os.PathLike[str],
    *,
    suffix: str = ".tflite",
    precision: str = "float32",
    input: InputKind = "uint8",
    **options: Any,
) -> Family:
    """Write the router, a file for each superclass, and `family.json`, which is written last.

    Args:
        models: signature -> model for the task "auto" of one bundle; a superclass's file holds its network of each.
        folder: is made; once all files are made and proved they replace those of the same names in it, others stay.
        suffix: says the format; it and the rest are those of `eas_sdk.export.export`. All files end in probabilities.

    Raises:
        InputError, ImageError, ExportError: see `eas_sdk.export.export`; or there is no model.
        OSError: a file cannot be written.
    """
    if not models:
        raise InputError("an exported family has at least one model; got none")
    exporter, target = load_exporter(suffix), text_path(folder)
    stems = file_stems(next(iter(models.values())).superclasses)
    for path in (target / f"{stem}{suffix}" for stem in ("router", *stems)):
        check_place(exporter, path)
    manifest = target / MANIFEST
    _check_manifest(manifest)
    target.mkdir(parents=True, exist_ok=True)
    with making(target, target) as temporary:
        made, text = _write(models, temporary, stems, suffix, {"precision": precision, "input": input, **options})
        manifest.unlink(missing_ok=True)  # while files change, nothing says how they fit together
        for file in (made.router, *made.networks.values()):
            put(file.path, Path(os.path.realpath(target / file.path.name)))
    write_atomically(manifest, [json.dumps(text, indent=1).encode()])
    router, *files = (replace(file, path=target / file.path.name) for file in (made.router, *made.networks.values()))
    return Family(target, router, dict(zip(made.networks, files, strict=True)))


def _check_manifest(path: Path) -> None:
    """Check that what lies at a manifest's path is one, if anything does."""
    if not os.path.lexists(path):
        return
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        known = None
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise InputError(f"an export of auto replaces a {MANIFEST} that an export wrote; {str(path)!r} is another file")


def _write(
    models: Mapping[str, RoutedModel], folder: Path, stems: Sequence[str], suffix: str, options: dict[str, Any]
) -> tuple[Family, dict[str, Any]]:
    """The files of a family in an empty folder, and what its manifest says."""
    first = next(iter(models.values()))
    router = first.router.router
    written: dict[str, Export] = {}
    superclasses: dict[str, Any] = {}
    bundle = first.network(first.superclasses[0]).bundle
    made = export({SIGNATURE: _Router(bundle, router.graph)}, folder / f"router{suffix}", **options)
    for superclass, stem in zip(first.superclasses, stems, strict=True):
        networks = {signature: model.network(superclass) for signature, model in models.items()}
        written[superclass] = export(networks, folder / f"{stem}{suffix}", **options)
        superclasses[superclass] = {
            "file": written[superclass].path.name,
            "networks": {
                signature: {
                    "architecture": str(network.architecture),
                    "input_size": network.input_size,
                    "madds": network.madds,
                }
                for signature, network in networks.items()
            },
        }
    text = {
        "format": FORMAT,
        "version": VERSION,
        "name": bundle.name,
        "how": HOW,
        "input": {"type": options["input"], "range": [0, 255] if options["input"] == "uint8" else [0, 1]},
        "precision": options["precision"],
        "router": {
            "file": made.path.name,
            "input_size": router.graph.input_size,
            "labels": list(router.graph.labels),
            "none": NONE if NONE in router.graph.labels else None,
            "threshold": router.threshold,
            "madds": router.cost.madds,
        },
        "superclasses": superclasses,
        "labels": list(bundle.labels),
        "superclass_of_label": [s.name for s in bundle.superclasses for _ in s.labels],
        "attributions": list(bundle.attributions),
    }
    return Family(folder, made, written), text
