"""Conda packages: environments solved with rattler, and placed without conda."""
