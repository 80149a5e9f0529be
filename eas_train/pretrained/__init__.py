"""Published networks as the largest member of an elastic space: where their weights are, and how they come in."""
