"""README, demo, benchmarks, the bootstrap script and the list of public names."""
