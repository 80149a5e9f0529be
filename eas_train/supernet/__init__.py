"""The over-parameterized network, how it is trained, and the statistics of its sub-networks."""
