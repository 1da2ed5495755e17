"""Where the store is on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["store_folder"]


def store_folder(environment: Mapping[str, str]) -> tuple[Path, str | None]:
    """The store's folder, and what the user should know where it is not the usual one.

    ``OCIBUILD_STORE`` if set, else ``ocibuild`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``; XDG
    Base Directory Specification), else, where that cannot be written (a pod with a read-only root), a folder of this
    user in the temporary folder. The folder is made with mode 0700.
    """
    chosen = environment.get("OCIBUILD_STORE")
    if chosen:
        return Path(chosen), None
    cache = environment.get("XDG_CACHE_HOME") or ""
    home = environment.get("HOME") or ""
    usual = Path(cache) if cache.startswith("/") else Path(home) / ".cache" if home.startswith("/") else None
    if usual is not None and _is_writable(usual / "ocibuild"):
        return usual / "ocibuild", None
    import tempfile  # noqa: PLC0415 - seldom needed, and it imports much

    temporary = Path(tempfile.gettempdir()) / f"ocibuild-{os.getuid()}"
    if _is_writable(temporary) and temporary.stat().st_uid == os.getuid() and not temporary.is_symlink():
        why = f"{usual}/ocibuild cannot be written" if usual else "HOME is not set"
        return temporary, f"{why}: the store is {temporary} (set OCIBUILD_STORE to choose another)"
    private = Path(tempfile.mkdtemp(prefix="ocibuild-"))  # somebody else holds the name in a shared folder
    return private, f"the store is {private}, which no later build will find (set OCIBUILD_STORE to keep one)"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
