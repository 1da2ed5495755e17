"""Making the last layers of a remembered image anew: the repository's files changed, and nothing that was asked."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ocibuild.core.clock import rfc3339
from ocibuild.core.descriptor import INDEX_TYPES, Descriptor
from ocibuild.core.digest import Digest
from ocibuild.core.errors import ImageError
from ocibuild.core.events import EventSink
from ocibuild.core.platform import Platform
from ocibuild.image.config import ImageConfig
from ocibuild.image.index import ImageIndex
from ocibuild.image.manifest import Manifest
from ocibuild.image.view import LayerTable, View, ViewEntry
from ocibuild.layer.compression import Compression, compressor_for
from ocibuild.layer.entry import Entry
from ocibuild.layer.fragment import fragment_key
from ocibuild.layer.placement import Placement
from ocibuild.plan.skeleton import FolderOwner, declared_folders, skeleton
from ocibuild.plan.source_layer import TreePlace, tree_entries, tree_key
from ocibuild.source.git_state import GitState
from ocibuild.source.tree import SourceTree
from ocibuild.spec.options import BuildOptions
from ocibuild.store.store import Store
from ocibuild.work.budget import MemoryBudget
from ocibuild.work.frame import SOURCE_LAYER, Frame, Ground
from ocibuild.work.layers import FragmentRecipe, LayerMaker, LayerRecipe, MadeLayer
from ocibuild.work.shared_cache import SharedCache

__all__ = ["refill", "source_recipe", "tree_fragment"]


def tree_fragment(subject: str, tree: SourceTree, place: TreePlace) -> FragmentRecipe:
    """The fragment of a tree at its place."""
    return FragmentRecipe(tree_key(tree, place), subject, lambda: Placement(tree_entries(tree, place)))


def _git_fragment(git: GitState, place: TreePlace) -> FragmentRecipe:
    """The fragment of the ``.git`` beside a repository's files."""
    path = f"{place.path}/.git" if place.path else ".git"
    context = json.dumps([path, place.uid, place.gid, place.modified]).encode()
    key = fragment_key(Digest.of(git.identity.encode()), context=context, placing_version="git")

    def place_git() -> Placement:
        from ocibuild.source.git_folder import git_entries  # noqa: PLC0415 - only where a commit is new

        return Placement(git_entries(git, path, uid=place.uid, gid=place.gid, modified=place.modified))

    return FragmentRecipe(key, ".git", place_git)


def source_recipe(tree: SourceTree, place: TreePlace, *, below: View) -> LayerRecipe:
    """The layer of a repository's files on what is ``below``, of which only what is at ``place`` counts."""
    owners = (FolderOwner(), FolderOwner(place.path, place.uid, place.gid))

    def folders(tables: Sequence[LayerTable]) -> list[Entry]:
        return skeleton(tables, below=below, declared=declared_folders(tables), owners=owners)

    fragments = (tree_fragment("source", tree, place), *([_git_fragment(tree.git, place)] if tree.git else []))
    return LayerRecipe(SOURCE_LAYER, fragments, folders)


def refill(
    frame: Frame,
    tree: SourceTree,
    *,
    source_time: int,
    options: BuildOptions,
    store: Store,
    environment: Mapping[str, str],
    events: EventSink,
    cache: SharedCache | None = None,
) -> Descriptor | None:
    """The image of the frame with the files of ``tree``, in the store: the same bytes as a build of everything gives.

    ``options`` are those of the build that the frame was remembered of, but for what changes no image. Steps run on the
    files again. None where a step runs as another user than before, by what an earlier one did. An ImageError where the
    store lacks something; raises what steps do.
    """
    manifests = [frame.image]
    platforms: list[Platform] = []
    if frame.image.media_type in INDEX_TYPES:
        index = ImageIndex.parse(store.blobs.read(frame.image.digest), where="an index in the store")
        manifests = [member.descriptor for member in index.members]
        platforms = [platform for manifest in manifests if (platform := manifest.platform) is not None]
    if len(frame.grounds) != len(manifests) or len(platforms) not in (0, len(manifests)):
        raise ImageError("a frame in the store is not of its image", hint="build with --refresh")
    with LayerMaker(
        store,
        compressor_for(options.compression or Compression.ZSTD),
        budget=MemoryBudget.of_process(options.memory_bytes),
        events=events,
        workers=options.jobs or os.cpu_count(),
        on_made=_noting(cache),
        cache=cache,
    ) as maker:
        made = []
        for ground in frame.grounds:
            begun = None
            if ground.steps:
                from ocibuild.work.kept_steps import begin_steps  # noqa: PLC0415 - most images have none

                begun = begin_steps(
                    ground.steps, maker, options, store=store, environment=environment, events=events, cache=cache
                )
            (source,) = maker.make_all([_recipe(tree, ground, source_time)])
            came = begun(source, source_time) if begun is not None else []
            if came is None:
                return None
            made.append([source, *came])
    images = [
        _refilled(store, manifest.digest, ground, layers, created=source_time)
        for manifest, ground, layers in zip(manifests, frame.grounds, made, strict=True)
    ]
    if not platforms:
        return images[0]
    document = ImageIndex.of(dict(zip(platforms, images, strict=True)), platforms=platforms).document()
    store.blobs.add(document.content)
    return document.descriptor


def _noting(cache: SharedCache | None) -> Callable[[MadeLayer], None]:
    """Tells the cache of layers that are made."""

    def note(layer: MadeLayer) -> None:
        if cache is not None:
            cache.made(layer)

    return note


def _recipe(tree: SourceTree, ground: Ground, source_time: int) -> LayerRecipe:
    folders = {path: ViewEntry("directory", mode, uid, gid) for path, (mode, uid, gid) in ground.folders.items()}
    place = TreePlace(ground.path, ground.uid, ground.gid, source_time)
    return source_recipe(tree, place, below=View(folders))


def _refilled(store: Store, digest: Digest, ground: Ground, layers: Sequence[MadeLayer], *, created: int) -> Descriptor:
    """The manifest of this digest with other layers of files, written into the store with its configuration."""
    manifest = Manifest.parse(store.blobs.read(digest), where="a manifest in the store")
    config = ImageConfig.parse(store.blobs.read(manifest.config.digest), where="a configuration in the store")
    time, diff_ids, history = rfc3339(created), list(config.diff_ids), list(config.history)
    diff_ids[ground.of_files(len(diff_ids))] = [layer.diff_id for layer in layers]
    dated = ground.of_files(len(history))
    history[dated] = [replace(each, created=time) for each in history[dated]]
    config_document = replace(config, created=time, diff_ids=tuple(diff_ids), history=tuple(history)).document()
    described = list(manifest.layers)
    old = ground.of_files(len(described))
    described[old] = [
        replace(layer.descriptor, annotations=before.annotations)
        for layer, before in zip(layers, described[old], strict=True)
    ]
    document = replace(manifest, config=config_document.descriptor, layers=tuple(described)).document()
    for written in (config_document, document):
        store.blobs.add(written.content)
    return document.descriptor
