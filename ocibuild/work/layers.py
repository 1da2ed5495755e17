"""Making layers out of fragments: what the store holds is reused, the rest is placed, compressed and remembered."""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ocibuild.core.descriptor import Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import BuildError, UsageError
from ocibuild.core.events import EventSink, TaskAdvanced, TaskFinished, TaskStarted
from ocibuild.core.package import LockedPackage
from ocibuild.image.recording import Recorder
from ocibuild.image.view import LayerTable
from ocibuild.layer.compression import Compressor, open_decompressed
from ocibuild.layer.entry import Entry, EntryKind
from ocibuild.layer.fragment import CUT_BYTES, cuts
from ocibuild.layer.placement import Placement
from ocibuild.layer.tar import END_OF_ARCHIVE, write_entries
from ocibuild.store.store import Store
from ocibuild.work.allocator import tidy_allocator
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.cutting import CutWriter
from ocibuild.work.fragments import Cut, FragmentLocation, FragmentStore, KnownFragment
from ocibuild.work.layer_cache import LayerCache, near_key, parts_key

__all__ = ["LAYER_VERSION", "FragmentRecipe", "LayerMaker", "LayerRecipe", "MadeLayer"]

LAYER_VERSION = 1
"""Part of every layer's key: raise it when the same fragments and folders give other bytes."""


_MOST_EXPANSION = 8  # of a package when it is decompressed: more is rare, and then it is a small one


@dataclass(frozen=True, slots=True)
class FragmentRecipe:
    """A fragment by key, and how to place it where the store does not hold it; ``packages`` are what placing reads.

    With ``has_folders`` its folders stay where they are among its entries: what a step changed may turn a file into a
    folder, which must be there before what it holds.
    """

    key: str
    subject: str
    place: Callable[[], Placement]
    packages: tuple[LockedPackage, ...] = ()
    has_folders: bool = False


FolderRule = Callable[[Sequence[LayerTable]], list[Entry]]
"""Gives the folder entries of a layer from the tables of its fragments."""


@dataclass(frozen=True, slots=True)
class LayerRecipe:
    """The fragments of a layer in order, and the rule for its folders. ``name`` is for history and messages."""

    name: str
    fragments: tuple[FragmentRecipe, ...]
    folders: FolderRule


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """A layer that is in the store. ``packages`` name what it holds: ``apt git=1:2.39.5-0+deb12u2 amd64``.

    ``folders`` are its folders that are in none of its fragments.
    """

    name: str
    key: str
    descriptor: Descriptor
    diff_id: Digest
    raw_bytes: int
    fragments: tuple[KnownFragment, ...]
    packages: tuple[str, ...]
    folders: tuple[Entry, ...]
    cached: bool


class LayerMaker:
    """Makes layers, several at once, within a memory budget; every core works even on a single layer.

    The same recipe gives the same raw bytes on every machine, whatever is cached, and the same compressed bytes with
    the same compressor and nothing cached by another one.

    ``stopped`` is set when a layer fails or the build is interrupted; whoever else works for the build may watch it, so
    that nobody waits for what is not wanted any more. ``on_made`` is called with each layer as soon as it is in the
    store, from any thread. ``cache`` is asked before a layer is made. A context manager that ends what was begun and is
    not waited for.
    """

    def __init__(
        self,
        store: Store,
        compressor: Compressor,
        *,
        budget: MemoryBudget,
        events: EventSink,
        workers: int | None = None,
        stopped: threading.Event | None = None,
        on_made: Callable[[MadeLayer], None] = lambda _: None,
        cache: LayerCache | None = None,
    ) -> None:
        self._cache = cache
        self._stopped = stopped or threading.Event()
        self._on_made = on_made
        self._store = store
        self._fragments = FragmentStore(store)
        self._compressor = compressor
        self._budget = budget
        self._events = events
        workers = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(workers, "compress")
        self._drivers = ThreadPoolExecutor(workers, "layer")
        self._begun: dict[tuple[str, ...], Future[MadeLayer]] = {}
        self._kind = f"layer-{compressor.compression.value}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stopped.set()
        for pool in (self._drivers, self._pool):  # a driver that is stopped takes its unfinished blob away
            pool.shutdown(cancel_futures=True)

    def begin(self, recipes: Sequence[LayerRecipe]) -> None:
        """Begin to make layers that :meth:`make_all` will be asked for; their errors are raised there."""
        tidy_allocator()
        for recipe in recipes:
            self._begun[_fragment_keys(recipe)] = self._drivers.submit(self._make, recipe)

    def make_all(self, recipes: Sequence[LayerRecipe]) -> list[MadeLayer]:
        """The layers of these recipes, in their order. The first error ends the rest."""
        tidy_allocator()
        begun = [self._begun.pop(_fragment_keys(recipe), None) for recipe in recipes]
        made = self._finished(
            [known or self._drivers.submit(self._make, recipe) for known, recipe in zip(begun, recipes, strict=True)]
        )
        # A layer that was begun has the right fragments; its folders may have been told by another rule.
        other = [
            number
            for number, (known, recipe, layer) in enumerate(zip(begun, recipes, made, strict=True))
            if known is not None and layer.folders != tuple(recipe.folders([each.table for each in layer.fragments]))
        ]
        for number, layer in zip(
            other, self.make_all([recipes[number] for number in other]) if other else [], strict=True
        ):
            made[number] = layer
        return made

    def _finished(self, futures: "list[Future[MadeLayer]]") -> list[MadeLayer]:
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:  # raises the error that came first; those that it causes come after it
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            self._stopped.set()
            for future in futures:
                future.cancel()
            wait([future for future in futures if not future.cancelled()])
            raise

    def missing(self, recipes: Iterable[LayerRecipe]) -> list[FragmentRecipe]:
        """The fragments that the store does not hold, and that would have to be placed, in the recipes' order."""
        recipes = list(recipes)
        self._ask([recipe.fragments for recipe in recipes])
        return [fragment for recipe in recipes for fragment in recipe.fragments if self._lacks(fragment)]

    def lacks(self, fragments: Sequence[FragmentRecipe]) -> bool:
        """Whether any of these fragments, which make a layer, would have to be placed."""
        self._ask([fragments])
        return any(map(self._lacks, fragments))

    def _lacks(self, fragment: FragmentRecipe) -> bool:
        return self._fragments.locate(fragment.key, self._compressor.compression) is None

    def _ask(self, layers: Sequence[Sequence[FragmentRecipe]]) -> None:
        """Ask the cache for layers of which something is lacking, then for others of packages with the same names."""
        if self._cache is None:
            return
        codec = self._compressor.compression.value

        def lacking() -> list[Sequence[FragmentRecipe]]:
            return [fragments for fragments in layers if any(map(self._lacks, fragments))]

        self._cache.ask_all((f"parts-{codec}", parts_key(each.key for each in fragments)) for fragments in lacking())
        self._cache.ask_all(
            (f"near-{codec}", near_key(_packages(fragments))) for fragments in lacking() if len(fragments) > 1
        )

    def _make(self, recipe: LayerRecipe) -> MadeLayer:
        layer = self._known(recipe)
        if layer is None:
            key = parts_key(fragment.key for fragment in recipe.fragments)
            with self._store.turn("layer", key, stopped=self._stopped.is_set):  # another process may make it now
                layer = self._known(recipe) or self._new(recipe)
        self._on_made(layer)
        return layer

    def _known(self, recipe: LayerRecipe) -> MadeLayer | None:
        known = [self._fragments.get(fragment.key) for fragment in recipe.fragments]
        complete = [fragment for fragment in known if fragment is not None]
        return self._find(recipe, complete) if len(complete) == len(known) else None

    def _new(self, recipe: LayerRecipe) -> MadeLayer:
        task = f"layer {recipe.name}"
        self._events(TaskStarted(task, "packing", recipe.name))
        with self._store.blobs.writer(where=f"layer {recipe.name}") as blob:
            writer = CutWriter(blob, self._compressor, pool=self._pool, budget=self._budget)
            try:
                made, folders = self._write(recipe, writer, task)
                size_bytes = writer.flush()
            except BaseException:
                writer.abandon()
                raise
        descriptor = Descriptor(self._compressor.compression.media_type, blob.digest, size_bytes)
        fragments = tuple(fragment for fragment, _ in made)
        offset = 0
        for fragment, fragment_cuts in made:
            location = FragmentLocation(blob.digest, offset, tuple(fragment_cuts))
            self._fragments.remember(fragment.key, self._compressor.compression, location)
            offset += sum(cut.compressed_bytes for cut in fragment_cuts)
        layer = MadeLayer(
            recipe.name,
            _layer_key(fragments, folders),
            descriptor,
            writer.diff_id,
            writer.raw_bytes,
            fragments,
            _packages(recipe.fragments),
            tuple(folders),
            cached=False,
        )
        self._remember(layer, [fragment_cuts for _, fragment_cuts in made])
        self._events(TaskFinished(task))
        return layer

    def _write(
        self, recipe: LayerRecipe, writer: CutWriter, task: str
    ) -> tuple[list[tuple[KnownFragment, list[Cut]]], list[Entry]]:
        made = []
        for fragment in recipe.fragments:
            fragment_cuts: list[Cut] = []  # filled as the cuts are written, which may be after this loop
            with writer.reserved(_largest_cut_bytes(fragment)):
                known = self._copy(fragment, writer, fragment_cuts)
                known = known or self._place(fragment, writer, fragment_cuts, task)
            made.append((known, fragment_cuts))
        folders = recipe.folders([known.table for known, _ in made])
        writer.add(b"".join(write_entries(folders)) + END_OF_ARCHIVE, [])
        return made, folders

    def _copy(self, fragment: FragmentRecipe, writer: CutWriter, fragment_cuts: list[Cut]) -> KnownFragment | None:
        """Take the fragment's cuts out of a layer that holds them; None, with nothing written, where there is none."""
        compression = self._compressor.compression
        location = self._fragments.locate(fragment.key, compression)
        known = self._fragments.get(fragment.key) if location else None
        if location is None or known is None:
            return None
        try:
            source = self._fragments.open(location)
        except FileNotFoundError:  # evicted since it was located
            return None
        with source:
            for cut in location.cuts:
                compressed = source.read(cut.compressed_bytes)
                raw = _decompress(compressed, self._compressor, where=fragment.subject)
                writer.add_compressed(compressed, raw, fragment_cuts)
        return known

    def _place(self, fragment: FragmentRecipe, writer: CutWriter, fragment_cuts: list[Cut], task: str) -> KnownFragment:
        placement = fragment.place()
        recorder = Recorder(fragment.key)
        passed = recorder.passing(placement.entries)
        # Folders are recorded, and written with their layer's skeleton.
        entries = (entry for entry in passed if fragment.has_folders or entry.kind is not EntryKind.DIRECTORY)
        for cut in cuts(write_entries(entries)):
            if self._stopped.is_set():
                raise BuildError(f"placing {fragment.subject} was ended, since the build ends")
            writer.add(cut, fragment_cuts)
            self._events(TaskAdvanced(task, len(cut)))
        known = KnownFragment(fragment.key, recorder.table(), dict(placement.notes))
        self._fragments.put(known)
        return known

    def _find(self, recipe: LayerRecipe, known: Sequence[KnownFragment]) -> MadeLayer | None:
        folders = recipe.folders([fragment.table for fragment in known])
        key = _layer_key(known, folders)
        value: Any = self._store.records.get(self._kind, key)
        if value is None and self._cache is not None and any(self._cache.ask_all([(self._kind, key)])):
            value = self._store.records.get(self._kind, key)
        try:
            digest, size_bytes = Digest.sha256(value["digest"]), int(value["size_bytes"])
            diff_id, raw_bytes = Digest.sha256(value["diff_id"]), int(value["raw_bytes"])
        except (KeyError, TypeError, ValueError, UsageError):
            return None
        if self._store.blobs.size_bytes(digest) != size_bytes:
            elsewhere = self._store.elsewhere(digest)
            if elsewhere is None or (elsewhere.descriptor.size_bytes, elsewhere.diff_id) != (size_bytes, diff_id):
                return None
        descriptor = Descriptor(self._compressor.compression.media_type, digest, size_bytes)
        packages = _packages(recipe.fragments)
        return MadeLayer(
            recipe.name, key, descriptor, diff_id, raw_bytes, tuple(known), packages, tuple(folders), cached=True
        )

    def _remember(self, layer: MadeLayer, fragment_cuts: Sequence[Sequence[Cut]]) -> None:
        value = {
            "digest": layer.descriptor.digest.hex,
            "size_bytes": layer.descriptor.size_bytes,
            "diff_id": layer.diff_id.hex,
            "raw_bytes": layer.raw_bytes,
            "compressor": self._compressor.identity,
            "cuts": [[(cut.raw_bytes, cut.compressed_bytes) for cut in each] for each in fragment_cuts],
        }
        self._store.records.put(self._kind, layer.key, value)


def _largest_cut_bytes(fragment: FragmentRecipe) -> int:
    """How large a cut of the fragment may be, as far as that can be told before it is placed."""
    sizes = [package.size_bytes for package in fragment.packages]
    known = sum(size or CUT_BYTES for size in sizes) * _MOST_EXPANSION if sizes else CUT_BYTES
    return min(known, CUT_BYTES)


def _fragment_keys(recipe: LayerRecipe) -> tuple[str, ...]:
    return tuple(fragment.key for fragment in recipe.fragments)


def _packages(fragments: Sequence[FragmentRecipe]) -> tuple[str, ...]:
    packages = (package for fragment in fragments for package in fragment.packages)
    return tuple(f"{package.ecosystem} {package.identity}" for package in packages)


def _decompress(compressed: bytes, compressor: Compressor, *, where: str) -> bytes:
    return open_decompressed(io.BytesIO(compressed), compressor.compression, where=where).read()


def _layer_key(fragments: Sequence[KnownFragment], folders: Iterable[Entry]) -> str:
    state = hashlib.sha256(b"layer %d\n" % LAYER_VERSION)
    for fragment in fragments:
        state.update(fragment.key.encode() + b"\n")
    for chunk in write_entries(folders):
        state.update(chunk)
    return state.hexdigest()
