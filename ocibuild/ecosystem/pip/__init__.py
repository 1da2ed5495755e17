"""Python packages: resolved by uv for the image's Python, placed from their wheels as pip would install them."""
