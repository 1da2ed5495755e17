"""Channels: the names that locks and records use, and the addresses that this machine has for them.

Source: conda's ``models/channel.py`` ("Managing channels" of its documentation).
"""

from ocibuild.core.defaults import conda_defaults

__all__ = ["channel_address"]


def channel_address(channel: str) -> str:
    """The public address of a channel, with a slash at its end: of a URL itself, of a name by conda's own defaults."""
    if "://" in channel:
        return f"{channel.rstrip('/')}/"
    defaults = conda_defaults()
    if channel.startswith("pkgs/"):
        return f"{defaults['packages']}/{channel}/"
    return f"{defaults['alias']}/{channel}/"
