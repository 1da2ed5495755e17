"""Tar entries, the one deterministic tar writer, fragments, compression, and reading layers."""
