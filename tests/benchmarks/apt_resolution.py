"""CPU time and memory of resolving ``apt:SUITE`` and an apt.txt, from an empty store and from a warm one.

Run as ``python tests/benchmarks/apt_resolution.py [SUITE] [ARCHITECTURE]``; uses this machine's mirror.
"""

import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from ocibuild.core.asks import AptAsk, Origin
from ocibuild.core.events import discard
from ocibuild.core.platform import Platform
from ocibuild.ecosystem.apt.distribution import suite_sources
from ocibuild.ecosystem.apt.machine import read_machine_apt
from ocibuild.ecosystem.apt.mirrors import Mirrors
from ocibuild.ecosystem.apt.remote_control import remote_controls
from ocibuild.ecosystem.apt.resolve import AptResolver
from ocibuild.image.view import View
from ocibuild.net.client import HttpClient
from ocibuild.store.store import Store

NAMES = ("git", "curl", "graphviz")


def main(suite: str = "bookworm", architecture: str = "amd64") -> None:
    platform = Platform.parse(architecture)
    asks = [AptAsk(name, Origin("apt.txt", line)) for line, name in enumerate(NAMES, 1)]
    with tempfile.TemporaryDirectory() as folder, HttpClient() as http:
        store = Store.at(Path(folder))
        sources = suite_sources(suite, platform, Mirrors(read_machine_apt()))
        for state in ("cold", "warm"):
            resolver = AptResolver(http, store, datetime.now(UTC), discard)
            times = [time.process_time()]
            base = resolver.resolve_base(suite, platform, sources)
            times.append(time.process_time())
            found = resolver.resolve(asks, view=View(), platform=platform, sources=sources, base=base)
            times.append(time.process_time())
            packages = (*base.packages, *found.packages)
            remote_controls(packages, found.addresses, http=http, store=store, events=discard)
            times.append(time.process_time())
            seconds = [after - before for before, after in pairwise(times)]
            peak_megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{state}: base of {len(base.packages)} {seconds[0]:.2f} s, {len(found.packages)} more"
                f" {seconds[1]:.2f} s, their scripts {seconds[2]:.2f} s CPU; peak so far {peak_megabytes:.0f} MB"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
