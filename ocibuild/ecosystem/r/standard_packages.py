"""The packages that come with R itself, in no repository (base) or in one too (recommended).

Source: R, ``tools:::.get_standard_package_names()``, compared in tests/oracle/test_r_install.py.
"""

__all__ = ["BASE_PACKAGES", "RECOMMENDED_PACKAGES"]

BASE_PACKAGES = frozenset(
    {
        "base", "compiler", "datasets", "grDevices", "graphics", "grid", "methods", "parallel", "splines", "stats",
        "stats4", "tcltk", "tools", "utils",
    }
)  # fmt: skip
"""Part of every R, with R's own version."""

RECOMMENDED_PACKAGES = frozenset(
    {
        "KernSmooth", "MASS", "Matrix", "boot", "class", "cluster", "codetools", "foreign", "lattice", "mgcv", "nlme",
        "nnet", "rpart", "spatial", "survival",
    }
)  # fmt: skip
"""What a complete R has besides: of Debian's packages r-recommended brings them."""
