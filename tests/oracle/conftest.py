"""The program with a store that is kept between tests, as the end-to-end tests have it."""

from tests.end_to_end.conftest import warm

__all__ = ["warm"]
