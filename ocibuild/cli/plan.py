"""``ocibuild plan``: what a build would do."""

import json
import os
from typing import Any

import click

from ocibuild.cli.options import (
    access_of,
    access_options,
    build_options,
    verbosity_of,
    verbosity_options,
)
from ocibuild.cli.progress import format_size, rendering
from ocibuild.cli.source import opened_request, source_options
from ocibuild.core.reference import Reference
from ocibuild.plan.plan import BuildPlan
from ocibuild.store.store import Store
from ocibuild.work.planning import plan_build

__all__ = ["command", "show_plan"]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@click.command(name="plan")
@source_options
@build_options
@access_options
@click.option("--json", "as_json", is_flag=True, help="As a JSON object; a list of them for several platforms.")
@verbosity_options
def command(*, source: str, as_json: bool, json_logs: bool, quiet: bool, verbose: bool, **options: Any) -> None:
    """Show what building SOURCE would make: base, packages with their reasons, layers, what would run.

    No package is fetched. Sizes are those of the packages as they are downloaded.
    """
    with rendering(verbosity_of(json_logs=json_logs, quiet=quiet, verbose=verbose)) as events:
        store = Store.of_environment(os.environ)
        images = options["images"]
        access = access_of(options, Reference.parse(images[0]) if images else None)
        with opened_request(source, options, store=store, events=events, access=access) as request:
            plans = plan_build(request, store=store, environment=os.environ, events=events)
    if as_json:
        values = [plan.to_json() for plan in plans]
        click.echo(json.dumps(values[0] if len(values) == 1 else values, indent=1))
        return
    for number, plan in enumerate(plans):
        if number:
            click.echo()
        show_plan(plan)


def show_plan(plan: BuildPlan) -> None:
    """Write a plan for people."""
    base = f"{plan.base} {(plan.base_digest or '')[:19]}".rstrip()
    click.echo(f"{plan.platform} on {base}, resolved {_age(plan.age_seconds)} ago")
    click.echo(f"\n{len(plan.packages)} packages, {format_size(plan.bytes_to_fetch)} to fetch")
    for each in plan.packages:
        package = each.package
        size = format_size(package.size_bytes) if package.size_bytes is not None else "?"
        here = "cached" if each.is_cached else ""
        click.echo(
            f"  {package.ecosystem.value:6}{package.name:32.32} {package.version:28.28}{size:>10}  "
            f"{here:7} {', '.join(package.why)}"
        )
    for removal in plan.removals:
        click.echo(f"  removed: {removal}")
    click.echo(f"\n{len(plan.layers)} layers")
    for layer in plan.layers:
        size = format_size(layer.size_bytes) if layer.size_bytes is not None else "unknown until made"
        click.echo(f"  {layer.state:7}{size:>20}  {layer.name}")
    for step in plan.steps:
        click.echo(f"\nwould run: {step.name}: {' '.join(step.arguments)} ({step.why})")


def _age(seconds: float) -> str:
    size, unit = next((pair for pair in _UNITS if seconds >= pair[0]), _UNITS[-1])
    return f"{int(seconds // size)} {unit}"
