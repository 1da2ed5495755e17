"""The registry client: credentials, tokens, reading and writing images, upload strategies (distribution-spec)."""
