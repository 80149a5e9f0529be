"""Spaces of cells: each holds one of several blocks or none (GreedyNAS, Cream), or some of them side by side (NSE)."""
