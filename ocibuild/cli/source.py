"""SOURCE on the command line: a folder, or an address that is fetched for as long as the command runs."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ocibuild.core.events import EventSink
from ocibuild.store.store import Store
from ocibuild.work.source import Source, open_source_folder

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess

__all__ = ["opened_source", "source_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("source", default="."),
    click.option("--ref", metavar="REF", help="Branch, tag or commit of a SOURCE that is fetched. Default: its own."),
    click.option("--subdir", metavar="DIR", help="The folder of SOURCE to build. Default: all of it."),
)


def source_options(command: _Command) -> _Command:
    """Add the argument SOURCE and the options that belong to it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def opened_source(
    source: str, values: dict[str, Any], *, store: Store, events: EventSink, access: "RegistryAccess | None"
) -> AbstractContextManager[Source]:
    """The source's folder while a block runs. Takes what is said of it out of the command line's ``values``."""
    return open_source_folder(
        source,
        ref=values.pop("ref"),
        subdir=values.pop("subdir"),
        store=store,
        environment=os.environ,
        events=events,
        ca_file=access.ca_file if access is not None else None,
    )
