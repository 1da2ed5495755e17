"""The shared MIME database: its source files, and the files that programs read."""
