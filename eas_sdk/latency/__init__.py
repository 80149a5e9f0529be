"""Latency tables: how long the blocks of networks take on one device, and what that makes of whole networks."""
