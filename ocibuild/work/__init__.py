"""The conductors: they take what the user wants, call the rooms below in order, and tell what happens."""
