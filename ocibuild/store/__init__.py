"""The local content-addressed store: blobs by digest, small records by key, and what is evicted when it grows."""
