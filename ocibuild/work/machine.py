"""What a build has of the machine that it runs on: a store, connections, an environment, somebody who listens."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ocibuild.core.events import EventSink
from ocibuild.store.store import Store
from ocibuild.work.phase import Phase
from ocibuild.work.remote import Remote
from ocibuild.work.shared_cache import SharedCache

__all__ = ["Machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """The effects that conductors share; everything else is passed by itself."""

    store: Store
    remote: Remote
    environment: Mapping[str, str]
    events: EventSink
    now: Callable[[], float] = time.time
    cache: SharedCache | None = None

    def phase(self, name: str, detail: str = "") -> Phase:
        """A context manager that tells when a phase begins and ends."""
        return Phase(self.events, name, detail)
