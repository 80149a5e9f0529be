"""What makes a freshly sliced sub-network correct: batch-norm statistics that the bundle carries."""
