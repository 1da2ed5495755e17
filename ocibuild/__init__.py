"""Build OCI images from repositories without a daemon, without root, without running package code."""

__all__ = ["__version__"]

__version__ = "0.1.0"
