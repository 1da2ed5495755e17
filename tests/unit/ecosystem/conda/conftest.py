import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ocibuild.core.asks import CondaAsk, CondaAsks, CondaChannelAsk, CondaLockFile, EitherAsk, Origin
from ocibuild.core.digest import Digest
from ocibuild.core.package import Ecosystem, LockedPackage
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.conda.configuration import CondaSettings
from ocibuild.ecosystem.conda.resolve import CondaResolution, resolve
from ocibuild.ecosystem.conda.target import CondaTarget
from tests.support.conda_channel import Recipe, serving, write_channel
from tests.support.scripted_server import ScriptedServer

AMD64 = Platform.parse("amd64")
BOOKWORM = CondaTarget(AMD64, glibc="2.36")


class Environment:
    """Asks written as in an environment.yml, one line each, resolved over the channels of ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = BOOKWORM
        self.settings = CondaSettings()
        self.options: dict[str, Any] = {"retries": 0}
        self.lock: CondaLockFile | None = None
        self.either: tuple[EitherAsk, ...] = ()

    def channel(self, name: str, recipes: Sequence[Recipe]) -> str:
        """Write a channel; its address."""
        return write_channel(self.folder / "channels" / name, recipes).as_uri()

    def resolve(self, channels: Sequence[str], *specs: str) -> CondaResolution:
        channel_asks = [CondaChannelAsk(text, Origin("environment.yml", 2 + n)) for n, text in enumerate(channels)]
        asks = [CondaAsk(text, Origin("environment.yml", 10 + number)) for number, text in enumerate(specs)]
        if "nodefaults" not in channels:
            channel_asks.append(CondaChannelAsk("nodefaults", Origin("environment.yml", 9)))
        return resolve(
            CondaAsks(tuple(asks), tuple(channel_asks), (self.lock,) if self.lock else (), either=self.either), self.target, self.settings,
            folder=self.folder / "repository", cache_folder=self.folder / "cache", **self.options,
        )  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "repository").mkdir()
    return Environment(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedServer]:
    with serving(tmp_path / "channels") as started:
        yield started


def versions(resolution: CondaResolution) -> dict[str, str]:
    return {package.name: package.version for package in resolution.packages}


@pytest.fixture
def locked() -> Callable[..., LockedPackage]:
    def make(name: str = "thing", version: str = "1.0", *, depends: Sequence[str] = (), **record: Any) -> LockedPackage:
        file_name = f"{name}-{version}-0.conda"
        return LockedPackage(
            Ecosystem.CONDA, name, version, "amd64", "made-up", f"linux-64/{file_name}", Digest.sha256("0" * 64),
            fields={
                "build": "0", "subdir": "linux-64", "channel": "made-up", "filename": file_name,
                "record": json.dumps({"depends": list(depends), "build_number": 0, **record}),
            },
        )  # fmt: skip

    return make
