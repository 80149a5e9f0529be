"""TFLite Metadata: what input and output mean, for clients that know nothing of this project, such as MediaPipe.

Slots are those of metadata_schema.fbs 1.3. The labels themselves are a file in a zip archive behind the model.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np

from eas_exporters.labels import lines
from eas_exporters.tflite.flatbuffer import Scalar, Table, serialize

LABELS = "labels.txt"


def metadata(
    *, name: str, description: str, licence: str, pixels: bool, softmax: bool = True, signatures: int = 1
) -> bytes:
    """The flatbuffer of buffer TFLITE_METADATA (identifier M001).

    Args:
        licence: who may use the weights, and whose work they come from.
        pixels: whether the input takes 0 to 255; else 0 to 1. Clients start from 0 to 255.
        softmax: whether the output holds probabilities; else logits.
        signatures: number of subgraphs, which all have this input and output.
    """
    top = 255.0 if pixels else 1.0
    std = 1.0 if pixels else 255.0
    image: Table = {
        0: "image",
        1: "RGB image",
        3: {0: Scalar("B", 2), 1: {0: Scalar("b", 1)}},  # ImageProperties, RGB
        4: [_normalization(0.0, std)],
        5: {0: np.array([top], np.float32), 1: np.array([0.0], np.float32)},
    }
    bounds: Table = {0: np.array([1.0], np.float32), 1: np.array([0.0], np.float32)}
    scores: Table = {
        0: "probabilities" if softmax else "logits",
        1: "probability of each label" if softmax else "logit of each label: a softmax makes probabilities of them",
        3: {0: Scalar("B", 1), 1: {}},  # FeatureProperties
        5: bounds if softmax else None,
        6: [{0: LABELS, 1: "one label a line, in the order of the output", 2: Scalar("b", 2)}],  # TENSOR_AXIS_LABELS
    }
    subgraph: Table = {2: [image], 3: [scores]}
    root: Table = {
        0: name,
        1: description,
        3: [subgraph] * signatures,
        5: licence,
        7: "1.0.0",  # the first parser that knows these fields
    }
    return b"".join(serialize(root, b"M001"))


def label_archive(labels: Sequence[str]) -> bytes:
    """A zip archive that holds the labels, stored as they are; it goes behind the flatbuffer."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo(LABELS, date_time=(1980, 1, 1, 0, 0, 0))  # equal models are equal files
        archive.writestr(entry, lines(labels))
    return buffer.getvalue()


def _normalization(mean: float, std: float) -> Table:
    return {
        0: Scalar("B", 1),
        1: {0: np.array([mean], np.float32), 1: np.array([std], np.float32)},
    }
