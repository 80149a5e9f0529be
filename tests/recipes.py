"""A recipe of next to nothing of everything, over the smallest preset."""

TINY = """
name = "tiny"
[supernet]
preset = "small"
batch_size = 4
phases = [{ name = "all", steps = 1, learning_rate = 0.01, image_size = 16 }]
[statistics]
networks = 1
images = 4
[predictor]
networks = 11
views = 1
[generator]
steps = 1
requests = 1
batch_size = 2
budgets = 2
image_size = 16
[router]
steps = 2
batch_size = 4
statistics_batches = 1
[bundle]
samples = 1
prune_budgets = 2
views = 1
budgets = 2
"""
