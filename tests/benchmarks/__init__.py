"""The benchmarks work: what they measure is another matter."""
