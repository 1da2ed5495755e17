"""What a SOURCE on the command line is, told by its form: nothing is asked of the network that is not needed."""

import re
from collections.abc import Mapping
from typing import Any

from ocibuild.core.defaults import deposit_defaults
from ocibuild.core.errors import NetworkError, UsageError
from ocibuild.source.deposit.ckan import CkanDataset
from ocibuild.source.deposit.client import DepositClient
from ocibuild.source.deposit.dataverse import DataverseDataset
from ocibuild.source.deposit.figshare import FigshareArticle
from ocibuild.source.deposit.hydroshare import HydroshareResource
from ocibuild.source.deposit.software_heritage import HeritageObject
from ocibuild.source.deposit.zenodo import ZenodoRecord
from ocibuild.source.git import GitAddress
from ocibuild.source.mercurial import MercurialAddress

__all__ = ["Deposit", "Doi", "Fetchable", "SourceAddress", "parse_source", "resolve_source"]

Deposit = ZenodoRecord | FigshareArticle | HydroshareResource | DataverseDataset | HeritageObject
Doi = str
"""``10.5281/zenodo.3242074``: leads to one of the others."""

Fetchable = GitAddress | MercurialAddress | Deposit | CkanDataset
SourceAddress = Fetchable | Doi
_DOI = re.compile(r"(?:doi:|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ARCHIVES = (ZenodoRecord, FigshareArticle, HydroshareResource, DataverseDataset, HeritageObject)


def parse_source(text: str, *, ref: str | None = None, places: Mapping[str, Any] | None = None) -> SourceAddress:
    """What ``text`` names that is no folder of this machine.

    An address with ``/dataset/`` in its path may be a CKAN portal's or a git server's: :func:`resolve_source` asks. A
    UsageError for what has no known form, and for a ``ref`` of what has none.
    """
    places = deposit_defaults() if places is None else places
    found = _DOI.fullmatch(text.strip())
    address: SourceAddress | None = found[1] if found else _deposit(text, places)
    if address is not None:
        if ref is not None:
            raise UsageError(f"--ref is for repositories under version control, and {text} is a deposit")
        return address
    address = MercurialAddress.parse(text, ref=ref) or (CkanDataset.parse(text, places) if ref is None else None)
    address = address or GitAddress.parse(text, ref=ref)
    if address is None:
        raise UsageError(
            f"{text} is no folder here, and has the form of no repository's address",
            hint="name a folder, a URL (https://..., git@host:path), a DOI, or a swh:1:dir: identifier",
        )
    return address


def resolve_source(address: SourceAddress, text: str, client: DepositClient) -> Fetchable:
    """The address with what only a server can tell: where a DOI leads, and whether a portal is one of CKAN's.

    A NetworkError where a DOI is not known, or leads to no archive that this program can read.
    """
    if isinstance(address, CkanDataset):
        git = GitAddress.parse(text)
        return address if git is None or address.is_there(client) else git
    if not isinstance(address, str):
        return address
    url = _doi_target(address, client)
    target = _deposit(url, client.places) or CkanDataset.parse(url, client.places)
    if target is None:
        raise NetworkError(
            f"the DOI {address} leads to {url}, which is no archive that can be read here",
            hint="Zenodo, Figshare, Dataverse, HydroShare, CaltechDATA and CKAN can; else give the repository's own",
        )
    return target


def _deposit(text: str, places: Mapping[str, Any]) -> Deposit | None:
    for archive in _ARCHIVES:
        found = archive.parse(text, places)
        if found is not None:
            return found
    return None


def _doi_target(doi: str, client: DepositClient) -> str:
    """Where a DOI leads (the proxy server's REST API of the DOI foundation: ``/api/handles/DOI``)."""
    attempted = f"asking where the DOI {doi} leads"
    answer = client.found_document(f"{client.places['doi']}/api/handles/{doi}", attempted=attempted)
    if answer is None:
        raise NetworkError(f"the DOI {doi} is not known", hint="check its spelling")
    try:
        return next(str(value["data"]["value"]) for value in answer["values"] if value["type"] == "URL")
    except (KeyError, TypeError, StopIteration) as error:
        raise NetworkError(f"{attempted}: the answer names no address") from error
