"""NSE (Ci et al. 2021): the search space evolves, round by round, until every operation has had its turn."""
