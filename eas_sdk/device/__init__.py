"""The device that networks run on: its state, policies that turn it into budgets, and power tables."""
