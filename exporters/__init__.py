"""Lowers a graph to TFLite, ONNX and Core ML files; the exporters arrive in the next release."""
