"""Evolutionary search with an accuracy predictor, as once-for-all does it: the baselines OFA-V and OFA-T."""
