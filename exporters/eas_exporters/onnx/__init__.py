"""ONNX files, and onnxruntime as an engine."""
