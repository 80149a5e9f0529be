"""What a user does today instead, for benchmarks.exports: run by a Python that has `ofa`, `torch` and `litert-torch`.

    python -m venv peers
    peers/bin/pip install torch litert-torch ofa && peers/bin/pip install --no-deps torchvision
    peers/bin/python benchmarks/peers/once_for_all.py FOLDER

OFA's MobileNetV3 supernet (width 1.0, 60 classes, 224 px, random weights): takes out the sub-network, converts it with
litert_torch, exports it with torch.onnx. Leaves peer.tflite, peer.onnx and, of the network with 7 x 7 kernels
throughout, peer7.tflite in FOLDER and prints the times as JSON. It imports nothing of this project.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from pathlib import Path

DEPTHS = (4, 4, 4, 3, 3)
KERNEL, EXPANSION = 5, 4


def main() -> None:
    folder = Path(sys.argv[1])
    warnings.filterwarnings("ignore")
    import torch

    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        # Builds of torch and torchvision that do not match: declare the two operators that the import misses.
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.modules.pop("torchvision", None)
        import torchvision  # noqa: F401
    import litert_torch
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

    options = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
    supernet = OFAMobileNetV3(n_classes=60, dropout_rate=0, width_mult=1.0, **options).eval()
    supernet.set_active_subnet(ks=KERNEL, e=EXPANSION, d=list(DEPTHS))
    image = torch.rand(1, 3, 224, 224)
    times: dict[str, float] = {}

    def timed(name: str, rounds: int, act):  # type: ignore[no-untyped-def]
        taken = []
        for _ in range(rounds):
            start = time.perf_counter()
            made = act()
            taken.append(1e3 * (time.perf_counter() - start))
        times[name] = sorted(taken)[len(taken) // 2]
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        net = timed("get_active_subnet_ms", 5, lambda: supernet.get_active_subnet(preserve_weight=True).eval())
        onnx = str(folder / "peer.onnx")
        timed("torch_onnx_export_ms", 3, lambda: torch.onnx.export(net, (image,), onnx, dynamo=False))
        made = timed("litert_torch_convert_ms", 1, lambda: litert_torch.convert(net, (image,)))
        made.export(str(folder / "peer.tflite"))
        supernet.set_active_subnet(ks=7, e=EXPANSION, d=list(DEPTHS))
        wide = supernet.get_active_subnet(preserve_weight=True).eval()
        litert_torch.convert(wide, (image,)).export(str(folder / "peer7.tflite"))
    print(json.dumps(times))


if __name__ == "__main__":
    main()
