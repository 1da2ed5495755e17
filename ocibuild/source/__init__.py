"""Where a repository comes from."""
