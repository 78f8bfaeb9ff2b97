"""The project itself, on one Python: README, demo, docs, benchmarks, workflows, layers, the bootstrap script."""
