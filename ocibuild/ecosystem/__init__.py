"""Package ecosystems: each resolves what is asked to locked packages, and places one package as tar entries."""
