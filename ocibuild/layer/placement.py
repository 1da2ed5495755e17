"""What placing one package gives."""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field

from ocibuild.layer.entry import Entry

__all__ = ["Placement"]


@dataclass(slots=True)
class Placement:
    """The entries of one package, to be taken once and in order, and notes for later phases.

    ``entries`` are in an order that depends on the package alone. Folders may be among them: they are lifted into
    their layer's skeleton and recorded, not written into the fragment. ``notes`` are small documents by name (a deb's
    control file, for example), complete once ``entries`` is exhausted; they are stored beside the fragment.
    """

    entries: Iterable[Entry]
    notes: MutableMapping[str, bytes] = field(default_factory=dict)
