"""The one HTTP policy of the program: retries, trust, credentials, verified downloads, and a light probe."""
