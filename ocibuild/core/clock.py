"""The times that may enter an image. No other module decides one."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ocibuild.core.errors import UsageError

__all__ = ["FIXED_TIME", "rfc3339", "source_time"]

FIXED_TIME = 315532800
"""1980-01-01T00:00:00Z, in seconds since the epoch: the time of everything below the source layer, so that a commit
changes no key there. Not 0, because zip files (wheels made by a step) cannot hold a year before 1980."""


def source_time(environment: Mapping[str, str], commit_time: int | None) -> int:
    """The time, in seconds since the epoch, of the source layer, of later steps and of ``created``.

    SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/) wins over the commit's time, which
    wins over the fixed time. A SOURCE_DATE_EPOCH that is no whole number is a UsageError.
    """
    text = environment.get("SOURCE_DATE_EPOCH")
    if text is None or text == "":
        return FIXED_TIME if commit_time is None else commit_time
    if not text.isascii() or not text.isdigit():
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {text!r}", hint="it must be a whole number of seconds since 1970-01-01T00:00:00Z"
        )
    return int(text)


def rfc3339(seconds: int) -> str:
    """This time as OCI configurations write it, for example ``1980-01-01T00:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
