"""What a repository asks: one reader a config file, detection, ``ocibuild.toml``, the catalogue of layers."""
