"""What `benchmarks.clients` runs in a client's environment, which holds that client and numpy alone."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
Run = Callable[[np.ndarray], np.ndarray]


def litert(file: Path) -> tuple[Run, dict[str, Any]]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        output: np.ndarray = interpreter.get_tensor(target["index"])
        return output

    operators = [each["op_name"] for each in interpreter._get_ops_details()]
    return run, {"pieces": operators.count("DELEGATE")}


def onnxruntime(file: Path) -> tuple[Run, dict[str, Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return (lambda image: session.run(None, {name: image})[0]), {}


def openvino(file: Path) -> tuple[Run, dict[str, Any]]:
    import openvino

    model = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return (lambda image: next(iter(model([image]).values()))), {}


def opencv(file: Path) -> tuple[Run, dict[str, Any]]:
    import cv2

    read = cv2.dnn.readNetFromTFLite if file.suffix == ".tflite" else cv2.dnn.readNetFromONNX
    net = read(str(file))

    def run(image: np.ndarray) -> np.ndarray:
        net.setInput(image if file.suffix == ".onnx" else image.astype(np.float32))
        output: np.ndarray = net.forward()
        return output

    return run, {}


def mediapipe(file: Path) -> tuple[Run, dict[str, Any]]:
    import mediapipe
    from mediapipe.tasks import python
    from mediapipe.tasks.python import vision

    options = vision.ImageClassifierOptions(base_options=python.BaseOptions(model_asset_path=str(file)))
    classifier = vision.ImageClassifier.create_from_options(options)

    def run(image: np.ndarray) -> np.ndarray:
        frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image[0]))
        categories = classifier.classify(frame).classifications[0].categories
        return np.array([[each.score for each in sorted(categories, key=lambda each: each.index)]])

    return run, {}


CLIENTS: dict[str, tuple[Callable[[Path], tuple[Run, dict[str, Any]]], tuple[str, ...]]] = {
    "LiteRT": (litert, (".tflite",)),
    "tflite-runtime": (litert, (".tflite",)),
    "MediaPipe": (mediapipe, (".tflite",)),
    "onnxruntime": (onnxruntime, (".onnx",)),
    "OpenVINO": (openvino, (".tflite", ".onnx")),
    "OpenCV": (opencv, (".tflite", ".onnx")),
}
"""How each opens a file, and which it can be expected to."""


def compared(file: Path, kind: str, opened: Callable[[Path], tuple[Run, dict[str, Any]]], data: Any) -> dict[str, Any]:
    pixels, expected = data["pixels"], data["expected"]
    if "NCHW" in kind:
        pixels = (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    try:
        run, facts = opened(file)
        found = np.concatenate([np.array(run(pixels[i : i + 1])).reshape(1, -1) for i in range(len(pixels))])
        if found.shape != expected.shape:
            return {"refused": f"an output of shape {found.shape} in place of {expected.shape}"}
    except Exception as error:  # whatever a client makes of a file is what is to be told
        return {"refused": " ".join(str(error).split())[:200]}
    difference = float(np.abs(found - expected).max())
    agreement = float((found.argmax(1) == expected.argmax(1)).mean())
    return {"difference": difference, "agreement": agreement, **facts}


def main(client: str, folder: Path) -> None:
    opened, suffixes = CLIENTS[client]
    found: dict[str, list[dict[str, Any]]] = {}
    for case in json.loads((folder / "cases.json").read_text())["cases"]:
        with np.load(folder / (case["name"] + ".npz")) as data:
            for kind, name in case["files"].items():
                if Path(name).suffix in suffixes:
                    found.setdefault(kind, []).append(compared(folder / name, kind, opened, data))
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
