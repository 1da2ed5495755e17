"""How patient this program is with servers: what is tried again, how often, and after how long."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["HttpPolicy", "is_temporary", "retry_after_seconds"]

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = range(500, 600)
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """Tries, waits and timeouts. ``tries`` counts the first one; ``read_timeout_seconds`` is the longest silence."""

    tries: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0
    connect_timeout_seconds: float = 15.0
    read_timeout_seconds: float = 60.0
    most_redirects: int = 10

    def wait_seconds(self, attempt: int, asked_seconds: float | None = None) -> float:
        """How long to wait after failed attempt number ``attempt`` (from 1): what the server asked, else doubling.

        Never more than ``longest_wait_seconds``. Up to a quarter is added by chance, so that a hundred builds that
        failed together do not come back together.
        """
        if asked_seconds is not None:
            return min(max(asked_seconds, 0.0), self.longest_wait_seconds)
        doubled = self.first_wait_seconds * float(2 ** (attempt - 1))
        return min(doubled * (1 + random.random() / 4), self.longest_wait_seconds)  # noqa: S311 - spreads load only


def is_temporary(status: int) -> bool:
    """Whether an HTTP status may go away by itself: 429 and all of 5xx but 501 (not implemented)."""
    return status == _TOO_MANY_REQUESTS or (status in _SERVER_ERRORS and status != _NOT_IMPLEMENTED)


def retry_after_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """The wait that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), or None.

    ``now`` is the time in seconds since the epoch that a date is compared with.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - only a server that is busy needs it

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None
