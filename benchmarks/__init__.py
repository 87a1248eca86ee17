"""What BPTL costs and how fast it is, beside yardsticks of the same run: ``./run bench``."""
