"""``ocibuild lock``: what a build would be made of, in a file."""

import os
from pathlib import Path
from typing import Any

import click

from ocibuild.cli.options import (
    access_of,
    access_options,
    build_options,
    verbosity_of,
    verbosity_options,
)
from ocibuild.cli.progress import rendering
from ocibuild.cli.source import opened_request, source_options
from ocibuild.core.errors import UsageError
from ocibuild.store.store import Store
from ocibuild.work.build import DEFAULT_LOCK
from ocibuild.work.locking import write_lock
from ocibuild.work.planning import resolve_lock

__all__ = ["command"]


@click.command(name="lock")
@source_options
@build_options
@access_options
@verbosity_options
def command(*, source: str, json_logs: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Resolve what SOURCE asks for and write it to --lock (default: ocibuild.lock in SOURCE). Prints the file's name.

    'ocibuild build --locked' then takes every version from there. The lock holds names, versions and hashes, and
    neither addresses nor credentials. Platforms that the file holds already are kept unless they are resolved again.
    """
    if options["locked"]:
        raise UsageError("--locked resolves nothing, so there would be nothing to write", hint="leave --locked out")
    with rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events:
        store = Store.of_environment(os.environ)
        access = access_of(options, None)
        with opened_request(source, options, store=store, events=events, access=access) as request:
            lock = resolve_lock(request, store=store, environment=os.environ, events=events)
            # What was fetched is gone afterwards: its lock is written where the command was given.
            file = request.lock_file or (request.folder if Path(source).is_dir() else Path()) / DEFAULT_LOCK
            write_lock(file, lock)
    click.echo(str(file))
