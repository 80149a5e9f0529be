"""The kernels of the numpy engine, and the plans that string them together.

lowering: nodes -> steps (kernels with packed weights), once per graph.
plan, arena: steps -> numpy calls over fixed memory, once per batch size.
window: geometry of padding, stride and taps. blocks: how work is cut to the size of the cache.
epilogue: bias and activation. expansion: the 1x1 convolution in front of a depthwise one.
pointwise, dense, pairwise, interleaved, planar: the kernels; the last three are depthwise convolutions, of small,
medium and large maps.
"""
