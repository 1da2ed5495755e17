"""Doing what repo2docker was told: fetching, building, pushing and running, with this program's own means."""

import getpass
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ocibuild.binder.arguments import Arguments
from ocibuild.binder.config_file import read_config
from ocibuild.binder.image_name import default_image_name, is_valid_image_name
from ocibuild.core.errors import UsageError
from ocibuild.core.events import EventSink, Notice
from ocibuild.core.platform import Platform
from ocibuild.core.reference import Reference
from ocibuild.plan.plan import BuildPlan
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.access import RegistryAccess
from ocibuild.work.build import read_request
from ocibuild.work.building import build
from ocibuild.work.planning import plan_build
from ocibuild.work.source import Source, open_source_folder

__all__ = ["CREDENTIALS_VARIABLE", "Repo2docker"]

CREDENTIALS_VARIABLE = "CONTAINER_ENGINE_REGISTRY_CREDENTIALS"
"""A JSON object with ``registry``, ``username`` and ``password``, as repo2docker's engines read it."""

_DEFAULT_USER, _DEFAULT_USER_ID = "jovyan", 1000
_SHORT_REVISION = 7


@dataclass(frozen=True, slots=True)
class Repo2docker:
    """One call of repo2docker on this machine."""

    arguments: Arguments
    store: Store
    environment: Mapping[str, str]
    events: EventSink

    def run(self) -> int | list[BuildPlan]:
        """Do it. The exit code of what ran in the image, 0 where nothing was to run; with --no-build the plans.

        Raises what fetching, building, pushing and running raise, and a UsageError for names that repo2docker refuses.
        """
        arguments = self._configured()
        for why in arguments.unused:
            self.events(Notice(f"{why}. It has no meaning here"))
        if arguments.image_name is not None and not is_valid_image_name(arguments.image_name):
            raise UsageError(f"{arguments.image_name!r} is not a valid image name", hint="use lower-case letters")
        if arguments.user_id == 0:
            raise UsageError("root as the image's user is not permitted", hint="choose another --user-id")
        access = RegistryAccess(logins=_logins(self.environment))
        with open_source_folder(
            arguments.repository,
            ref=arguments.ref,
            subdir=arguments.subdir,
            store=self.store,
            environment=self.environment,
            events=self.events,
        ) as source:
            said = self._options(arguments, source)
            request = read_request(
                source, said, store=self.store, environment=self.environment, events=self.events, access=access
            )
            if not arguments.builds:
                return plan_build(request, store=self.store, environment=self.environment, events=self.events)
            build(request, store=self.store, environment=self.environment, events=self.events)
            return self._run(arguments, said, source) if arguments.runs else 0

    def _configured(self) -> Arguments:
        """The arguments with what the configuration file adds: the command line wins."""
        arguments = self.arguments
        default = Path("repo2docker_config.py")
        file = Path(arguments.config_file) if arguments.config_file else default if default.is_file() else None
        if file is None:
            return arguments
        texts, unused = read_config(file)
        configured = arguments.with_traits(texts, written=f"{file}: c.{{}}")
        return replace(configured, unused=(*configured.unused, *unused))

    def _options(self, arguments: Arguments, source: Source) -> BuildOptions:
        is_root = os.geteuid() == 0
        name = arguments.image_name or default_image_name(
            arguments.repository,
            subdir=arguments.subdir,
            content=source.revision[:_SHORT_REVISION] if source.origin != "local" else str(int(time.time())),
        )
        return BuildOptions(
            images=(str(Reference.parse(name)),),
            push=arguments.pushes,
            profile="binder",
            base=arguments.base_image,
            platforms=(Platform.parse(arguments.platform),) if arguments.platform else (),
            appendix=arguments.appendix,
            user_name=arguments.user_name or (_DEFAULT_USER if is_root else getpass.getuser()),
            user_id=arguments.user_id or (_DEFAULT_USER_ID if is_root else os.geteuid()),
            repository_folder=arguments.target_repo_dir,
            labels=MappingProxyType(dict(map(_assignment, arguments.labels))),
        )

    def _run(self, arguments: Arguments, said: BuildOptions, source: Source) -> int:
        """Run the image, or the command in it, on this machine's terminal; its exit code."""
        from ocibuild.sandbox.execution import Mount  # noqa: PLC0415 - BinderHub never runs here
        from ocibuild.work.run import RunRequest, parse_mount, parse_variable, run_image  # noqa: PLC0415 - as above

        variables = (parse_variable(text, self.environment) for text in arguments.environment)
        mounts = [parse_mount(text) for text in arguments.volumes]
        if arguments.is_editable:
            home = said.repository_folder or f"/home/{said.user_name}"
            mounts.append(Mount(source.folder.resolve(), home, writable=True))
        request = RunRequest(
            said.images[0],
            arguments.command,
            environment=MappingProxyType(dict(each for each in variables if each is not None)),
            mounts=tuple(mounts),
        )
        return run_image(request, store=self.store, environment=self.environment, events=self.events)


def _assignment(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _logins(environment: Mapping[str, str]) -> tuple[Any, ...]:
    """The credential of the environment; a UsageError, which tells nothing of it, where it is malformed."""
    text = environment.get(CREDENTIALS_VARIABLE)
    if not text:
        return ()
    from ocibuild.registry.credentials import Credential, ExplicitCredential  # noqa: PLC0415 - most have none

    try:
        value = json.loads(text)
        registry, username, password = (str(value[name]) for name in ("registry", "username", "password"))
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{CREDENTIALS_VARIABLE} is no JSON object with registry, username and password"
        ) from None  # the cause would show what it holds
    host = registry.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return (ExplicitCredential(host, Credential(username, password)),)
