"""Files that phones run, and the engines that run them: one package for each format, each a lowering of the graph."""
