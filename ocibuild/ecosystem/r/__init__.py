"""R packages: resolved from PACKAGES indexes, and binary ones placed without running R."""
