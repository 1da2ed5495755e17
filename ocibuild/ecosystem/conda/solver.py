"""rattler, which solves conda environments: the one module that imports it.

It is told everything: the channels' addresses with their credentials, the platform, the virtual packages. Of this
machine it takes proxies, certificates and ``~/.netrc``.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from ocibuild.core.asks import CondaAsk
from ocibuild.ecosystem.conda.channel import Channels
from ocibuild.ecosystem.conda.configuration import ChannelPriority
from ocibuild.ecosystem.conda.explanation import gateway_error, missing_rattler, solver_error, spec_error
from ocibuild.ecosystem.conda.target import CondaTarget

__all__ = ["Record", "Solver", "load_rattler", "reading_errors"]

_PACKAGE_ADDRESS = re.compile(r"\s*(?:[a-z0-9+]+://|[./~]).*\.(?:conda|tar\.bz2)\b", re.IGNORECASE)

Record = dict[str, Any]
"""A package's record in its channel, with ``fn``, ``url`` and ``channel``: rattler's JSON form, as an object."""


def load_rattler() -> ModuleType:
    """The library; a MachineError that says what to install where it is missing."""
    try:
        import rattler.exceptions  # noqa: PLC0415 - most builds have no conda environment, and it takes 70 ms
    except ImportError as error:
        raise missing_rattler() from error
    module: ModuleType = rattler
    return module


def reading_errors(rattler: ModuleType) -> tuple[type[Exception], ...]:
    """What rattler raises for texts that are not what it was to read: locks, records, specs, addresses."""
    names = ("ParseCondaLock", "Conversion", "Io", "InvalidUrl", "InvalidVersion", "InvalidMatchSpec", "InvalidChannel")
    return tuple(getattr(rattler.exceptions, f"{name}Error") for name in names)


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves for one target over one set of channels. ``cache_folder`` keeps the channels' indexes between builds.

    ``offline`` asks nothing of the network, however old what the cache holds. ``retries`` is how often a server that
    fails is asked again.
    """

    channels: Channels
    target: CondaTarget
    cache_folder: Path
    offline: bool = False
    verifies_tls: bool = True
    retries: int = 3

    def solve(
        self,
        asks: Sequence[CondaAsk],
        *,
        priority: ChannelPriority,
        preferred: Sequence[Record] = (),
        not_after: datetime | None = None,
    ) -> tuple[list[Record], list[str]]:
        """The records of the environment, and for each ask the name of the package that it is for.

        A package of ``preferred`` is taken where nothing speaks against it, whatever newer version there is.
        ``not_after`` (UTC) leaves out what was added to a channel later. A bad spec, an unknown channel or package, and
        a conflict is a RepositoryError; a channel that cannot be asked a NetworkError.
        """
        rattler = load_rattler()
        names, specs = self._specs(rattler, asks)
        records = self._run(
            rattler,
            lambda gateway: rattler.solve(
                self._sources(rattler),
                specs,
                gateway=gateway,
                platforms=[self.target.subdir, "noarch"],
                locked_packages=self._records(rattler, preferred),
                virtual_packages=self._virtual_packages(rattler),
                channel_priority=getattr(rattler.ChannelPriority, priority.capitalize()),
                exclude_newer=not_after,
                channel_relations="disabled",  # what a channel says of others is not what was asked for
            ),
            asked=list(zip(names, asks, strict=True)),
        )
        return [json.loads(record.to_json()) for record in records], names

    def find(self, names: Iterable[str], is_wanted: Callable[[str], bool]) -> list[Record]:
        """The records of these packages whose URLs are wanted; raises as :meth:`solve`."""
        rattler = load_rattler()
        found = self._run(
            rattler,
            lambda gateway: gateway.query(
                self._sources(rattler),
                [self.target.subdir, "noarch"],
                sorted(set(names)),
                recursive=False,
                channel_relations="disabled",
            ),
            asked=(),
        )
        return [json.loads(record.to_json()) for records in found for record in records if is_wanted(record.url)]

    def offered(self, names: Iterable[str]) -> set[str]:
        """Which of these packages a channel has, in any version; raises as :meth:`solve`."""
        wanted = set(names)
        return {str(record["name"]) for record in self.find(wanted, lambda _: True)} if wanted else set()

    def unmet(self, records: Iterable[Record]) -> list[tuple[str, str]]:
        """The virtual packages that records need and the target lacks: the package's name, and what it needs."""
        rattler = load_rattler()
        system = [
            rattler.PackageRecord(name, version, rattler.BuildString(build), 0, self.target.subdir)
            for name, version, build in self.target.virtual_packages()
        ]
        needs = [
            (str(record["name"]), text)
            for record in records
            for text in record.get("depends", ())
            if text.startswith("__")
        ]
        return [each for each in needs if not self._is_met(rattler, each[1], system)]

    @staticmethod
    def _is_met(rattler: ModuleType, text: str, system: Sequence[Any]) -> bool:
        try:
            spec = rattler.MatchSpec(text)
        except rattler.exceptions.InvalidMatchSpecError:
            return False
        return any(spec.matches(each) for each in system)

    # What rattler is given.

    def _run(
        self, rattler: ModuleType, ask: Callable[[Any], Awaitable[Any]], *, asked: Sequence[tuple[str, CondaAsk]]
    ) -> Any:
        async def run() -> Any:
            return await ask(self._gateway(rattler))

        try:
            return asyncio.run(run())
        except rattler.exceptions.SolverError as error:
            raise solver_error(str(error), asked=asked, channels=self.channels, target=self.target) from error
        except (rattler.exceptions.GatewayError, rattler.exceptions.FetchRepoDataError) as error:
            raise gateway_error(str(error), self.channels, offline=self.offline) from error

    def _gateway(self, rattler: ModuleType) -> Any:
        action = "force-cache-only" if self.offline else "cache-or-fetch"
        text = 'tls-root-certs = "system"\n' + ("" if self.verifies_tls else "tls-no-verify = true\n")
        return rattler.Gateway(
            cache_dir=self.cache_folder,
            default_config=rattler.SourceConfig(cache_action=action),
            client=rattler.Client.from_config(rattler.Config.from_toml(text), max_retries=self.retries),
        )

    def _sources(self, rattler: ModuleType) -> list[Any]:
        sources = []
        for group in self.channels.groups:
            members = [rattler.Channel(channel.address) for channel in group.channels]
            sources += [rattler.MultiSource(group.name, members)] if group.name else members
        return sources

    def _specs(self, rattler: ModuleType, asks: Iterable[CondaAsk]) -> tuple[list[str], list[Any]]:
        names, specs = [], []
        for ask in asks:
            if _PACKAGE_ADDRESS.match(ask.text):  # rattler would fetch it on the spot, and know no hash of it
                raise spec_error(ask, "it is the address of a package; name its channel: CHANNEL::NAME=VERSION=BUILD")
            try:
                spec = rattler.MatchSpec(self.channels.located(ask.text))
            except reading_errors(rattler) as error:
                raise spec_error(ask, str(error)) from error
            names.append(spec.name.normalized)
            specs.append(spec)
        return names, specs

    def _virtual_packages(self, rattler: ModuleType) -> list[Any]:
        return [
            rattler.GenericVirtualPackage(
                rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
            )
            for name, version, build in self.target.virtual_packages()
        ]

    def _records(self, rattler: ModuleType, records: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Records as rattler's own; it reads them from files alone."""
        made = []
        with tempfile.TemporaryDirectory(prefix="ocibuild-conda-") as scratch:
            path = Path(scratch) / "index.json"
            for record in records:
                path.write_text(json.dumps(record), encoding="utf-8")
                plain = rattler.PackageRecord.from_index_json(
                    path, size=record.get("size"), sha256=record.get("sha256"), md5=record.get("md5")
                )
                made.append(rattler.RepoDataRecord(plain, record["fn"], record["url"], record["channel"]))
        return made
