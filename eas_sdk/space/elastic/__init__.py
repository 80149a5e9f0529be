"""The elastic MobileNetV3 space: depths, kernels and expansion ratios that nest in one set of weights."""
