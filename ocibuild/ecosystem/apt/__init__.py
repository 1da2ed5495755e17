"""Debian packages without apt and dpkg: sources, the solver, placing, and the dpkg database of the image."""
