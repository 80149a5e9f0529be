"""Which sub-networks a supernet's training trains, and against what: evenly drawn, GreedyNAS's, Cream's."""
