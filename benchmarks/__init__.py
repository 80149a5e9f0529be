"""Commands that measure; each stores its figures in benchmarks/results with the command, the machine and versions."""
