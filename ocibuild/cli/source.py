"""SOURCE on the command line: a folder, or an address that is fetched for as long as the command runs."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ocibuild.cli.options import build_options_of
from ocibuild.core.events import EventSink
from ocibuild.store.store import Store
from ocibuild.work.build import BuildRequest, read_request
from ocibuild.work.source import open_source_folder

if TYPE_CHECKING:
    from ocibuild.work.access import RegistryAccess

__all__ = ["opened_request", "source_options"]

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


@contextlib.contextmanager
def opened_request(
    source: str, values: dict[str, Any], *, store: Store, events: EventSink, access: "RegistryAccess | None"
) -> Iterator[BuildRequest]:
    """What is to be built of the source and the command line's ``values``; its folder is there while a block runs."""
    with open_source_folder(
        source,
        ref=values.pop("ref"),
        subdir=values.pop("subdir"),
        store=store,
        environment=os.environ,
        events=events,
        ca_file=access.ca_file if access is not None else None,
    ) as opened:
        said = build_options_of(values)
        yield read_request(opened, said, store=store, environment=os.environ, events=events, access=access)
