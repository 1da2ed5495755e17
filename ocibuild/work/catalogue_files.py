"""The files of the catalogue's layers, as they are put into an image."""

from collections.abc import Sequence

from ocibuild.layer.entry import Entry
from ocibuild.plan.source_layer import TreePlace
from ocibuild.source.folder import read_folder
from ocibuild.spec.image_asks import ImageAsks
from ocibuild.work.layers import FragmentRecipe
from ocibuild.work.refill import tree_fragment
from ocibuild.work.stack import entries_fragment

__all__ = ["catalogue_fragments"]


def catalogue_fragments(asks: ImageAsks) -> list[FragmentRecipe]:
    """A fragment for each layer's files, of root's and of the image's user, and one of the folders that are his.

    They are the same for every image with these layers and this user.
    """
    account, owned = asks.account, asks.owned
    fragments = [entries_fragment("folders of the user", _folders(asks))] if owned else []
    for layer in asks.layers:
        if layer.files is None:
            continue
        tree = read_folder(layer.files)
        places = (
            (tree.without(lambda path: _is_below(path, owned)), TreePlace("")),
            (tree.without(lambda path: not _is_below(path, owned)), TreePlace("", account.uid, account.gid)),
        )
        fragments += [tree_fragment(f"layer {layer.name}", part, place) for part, place in places if part.files]
    return fragments


def _folders(asks: ImageAsks) -> list[Entry]:
    uid, gid = asks.account.uid, asks.account.gid
    return [Entry.directory(path, uid=uid, gid=gid) for path in sorted(asks.owned)]


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
