"""``ocibuild cache audit``: the claims of caches beside what is in them, or beside what is made again."""

import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ocibuild.cli.cache import opened_caches
from ocibuild.cli.options import access_options, build_options
from ocibuild.cli.progress import Verbosity, rendering
from ocibuild.cli.source import opened_request
from ocibuild.core.errors import UsageError
from ocibuild.store.store import Store
from ocibuild.work.building import build
from ocibuild.work.cache_admin import survey
from ocibuild.work.cache_audit import AuditFinding, audit_content, audit_made
from ocibuild.work.cache_settings import cache_name

__all__ = ["command"]

_ACCESS = ("ca_file", "insecure", "secrets", "username", "password_file")


@click.command(name="audit")
@click.argument("source", required=False)
@click.option("--sample", type=click.IntRange(min=1), help="How many entries to look at, by chance. Default: all.")
@build_options
@access_options
def command(*, source: str | None, sample: int | None, caches: tuple[str, ...], **options: Any) -> None:
    """Compare what caches say with their layers; with SOURCE, with layers that are made again.

    Without SOURCE the layers of entries are read: digests, diff_ids, hashes of fragments, and of every file its type,
    mode, owner, size and link. With SOURCE, a repository with the options of its build, the image is made from its
    packages in an empty store and without any cache, and each of its layers that a cache has is compared. Ends with
    exit code 1 where something differs.
    """
    access = {name: options.pop(name) for name in _ACCESS}
    problems = looked_at = 0
    with (
        tempfile.TemporaryDirectory(prefix="ocibuild-audit-") as folder,
        opened_caches(caches, access) as (places, remote),
    ):
        if not places:
            raise UsageError("there is no cache to audit", hint="add --cache HOST/NAME")
        made = _made(source, options, Path(folder)) if source is not None else None
        for place in places:
            findings: Iterable[AuditFinding]
            if made is not None:
                findings = audit_made(place, remote, made, sample=sample)
            else:
                findings = audit_content(place, remote, survey(place, remote), sample=sample)
            for finding in findings:
                looked_at += 1
                problems += bool(finding.problems)
                for problem in finding.problems:
                    click.echo(f"{cache_name(place)}:{finding.tag} ({finding.layer}): {problem}")
    click.echo(f"{looked_at} entries looked at, {problems} with problems")
    if problems:
        sys.exit(1)


def _made(source: str, options: dict[str, Any], folder: Path) -> Store:
    """The store in which the image of this repository was made, without any cache."""
    store = Store.at(folder / "store")
    values = {**options, "caches": (), "cache_mode": None, "no_cache": True, "ref": None, "subdir": None}
    with (
        rendering(Verbosity(-1)) as events,
        opened_request(source, values, store=store, events=events, access=None) as request,
    ):
        options_here = replace(request.options, push=False)
        alone = replace(request, cache=None, outputs=(), images=(), options=options_here, lock_file=None)
        build(
            alone if not request.options.locked else replace(alone, lock_file=request.lock_file),
            store=store,
            environment=os.environ,
            events=events,
        )
    return store
