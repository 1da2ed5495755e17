"""Wheels from the package index, fetched as the program fetches them: retried where a server or name server is busy."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ocibuild.core.package import LockedPackage
from ocibuild.ecosystem.pip.resolve import PipResolution
from ocibuild.net.client import HttpClient
from ocibuild.net.download import Downloader, DownloadRequest
from ocibuild.net.policy import HttpPolicy
from ocibuild.store.blobs import BlobStore

__all__ = ["download"]

_PATIENT = HttpPolicy(tries=8, first_wait_seconds=1)


def download(resolution: PipResolution, folder: Path) -> Mapping[str, Path]:
    """Every package's file by the package's name, under its own file name in ``folder``, with the digest it must have.

    What is there already is not fetched again.
    """
    with HttpClient(_PATIENT) as http:
        downloader = Downloader(http=http, blobs=BlobStore(folder / "blobs"))

        def fetch(package: LockedPackage) -> tuple[str, Path]:
            path = folder / package.fields["filename"]
            if not path.exists():
                url = resolution.addresses[package.source] + package.path
                os.link(downloader.fetch(DownloadRequest((url,), package.digest, None, package.name)), path)
            return package.name, path

        with ThreadPoolExecutor(6) as pool:
            return dict(pool.map(fetch, resolution.packages))
