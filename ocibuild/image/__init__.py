"""Images as values: config, manifest, index, the view of a file system that layers make, inspecting, checking."""
