"""Networks as Core ML packages (.mlpackage): lowering, precisions, packages of several functions, running on macOS."""
