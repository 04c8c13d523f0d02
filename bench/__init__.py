"""The benchmark: flyweight beside its peers, in one run."""
