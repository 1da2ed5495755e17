"""What a failed resolution means for the user: rattler's own words, with the line that asked and what can be done."""

import re
from collections.abc import Sequence

from ocibuild.core.asks import CondaAsk, Origin
from ocibuild.core.errors import MachineError, NetworkError, OcibuildError, RepositoryError
from ocibuild.ecosystem.conda.channel import Channel, Channels, without_credentials
from ocibuild.ecosystem.conda.target import CondaTarget
from ocibuild.net.address import redacted

__all__ = ["gateway_error", "missing_rattler", "solver_error", "spec_error"]

_UNKNOWN = re.compile(r"No candidates were found for ([A-Za-z0-9_.-]+)(?: ([^\n]*?))?\.?(?:\n|$)")
_NO_SUBDIR = re.compile(r"could not find subdir '([^']*)' in channel '([^']*)'")
_STATUS = re.compile(r"\((\d{3}) [A-Za-z ]+\)")
_URL = re.compile(r"(?:https?|file)://[^\s`'()]+")
_WORD = r"(?<![A-Za-z0-9_.-]){}(?![A-Za-z0-9_-])"
_REASONS = ("No candidates", "cannot be installed", "conflicts with", "is excluded", "which cannot")

# The name on PyPI, or the one that is imported -> the name on conda-forge, where they differ.
_CONDA_NAMES = {
    "bs4": "beautifulsoup4", "cv2": "opencv", "faiss-cpu": "faiss", "graphviz-python": "python-graphviz",
    "msgpack": "msgpack-python", "opencv-contrib-python": "opencv", "opencv-python": "opencv",
    "opencv-python-headless": "opencv", "pil": "pillow", "psycopg2-binary": "psycopg2", "skimage": "scikit-image",
    "sklearn": "scikit-learn", "tables": "pytables", "torch": "pytorch", "yaml": "pyyaml",
}  # fmt: skip


def missing_rattler() -> MachineError:
    """The error where py-rattler is not installed."""
    return MachineError(
        "conda environments need py-rattler, which is not installed beside this program",
        hint="pip install 'ocibuild[conda]'",
    )


def spec_error(ask: CondaAsk, text: str) -> RepositoryError:
    """The error for what is no MatchSpec."""
    return RepositoryError(
        f"{ask.text!r} is nothing that conda can look for: {text}",
        file=ask.origin.file,
        line=ask.origin.line,
        hint="write a name and, if need be, a version: numpy, numpy=2.1, numpy>=2,<3, conda-forge::numpy",
    )


def solver_error(
    text: str, *, asked: Sequence[tuple[str, CondaAsk]], channels: Channels, target: CondaTarget
) -> RepositoryError:
    """The error for packages that cannot be installed together; ``asked`` are the asks with their packages' names."""
    text = hidden(text, channels).removeprefix("Cannot solve the request because of: ").strip()
    lines = [line for line in text.splitlines() if any(reason in line for reason in _REASONS)]
    named = [ask.origin for name, ask in asked if any(re.search(_WORD.format(re.escape(name)), line) for line in lines)]
    first = named[0] if named else None
    others = list(dict.fromkeys(str(origin) for origin in named[1:] if origin != first))
    also = f"\n(see also {', '.join(others)})" if others else ""
    return _at(first, f"these packages cannot be installed together: {text}{also}", hint=_hint(text, channels, target))


def _hint(text: str, channels: Channels, target: CondaTarget) -> str | None:
    if "__cuda" in text:
        has = f"CUDA {target.cuda}" if target.cuda else "no CUDA"
        return f"the environment is solved for {has}: --cuda VERSION says what the driver will support"
    if "__glibc" in text:
        has = f"glibc {target.glibc}" if target.glibc else "no glibc"
        return f"the base has {has}: choose another base, or ask for another version of the package"
    unknown = _UNKNOWN.search(text)
    if unknown:
        return _unknown_hint(unknown[1].lower(), unknown[2] or "*", channels)
    if "channel priority" in text:
        return "channel_priority: flexible in .condarc lets a package come from a channel that is named later"
    return None


def _unknown_hint(name: str, versions: str, channels: Channels) -> str:
    """What to do about a package that no channel has in these versions."""
    if name in _CONDA_NAMES:
        return f"did you mean {_CONDA_NAMES[name]}?"
    names = ", ".join(group.name or group.channels[0].name for group in channels.groups)
    if not names:
        return "no channel is named, and nodefaults leaves out the usual one: channels: [conda-forge]"
    if versions != "*":
        return f"looked in {names}: ask for another version of {name}, or name a channel that has it"
    return f"looked in {names}: name another channel, or move the package to the pip section if it is on PyPI only"


def gateway_error(text: str, channels: Channels, *, offline: bool) -> OcibuildError:
    """The error for a channel that could not be read."""
    channel = _channel_in(text, channels)
    shown = channel.shown if channel else "a channel"
    missing = _NO_SUBDIR.search(text)
    text = hidden(text, channels)
    if missing and ("404" in text or "No such file" in text):
        origin = channel.origin if channel else None
        return _at(
            origin, f"the channel {shown} does not exist: {text}", hint="is the name spelt right, and is it public?"
        )
    if offline:
        return NetworkError(
            f"the channel {shown} was never asked on this machine, and nothing may be asked now: {text}",
            hint="resolve once with the network, or copy the store of a machine that did",
        )
    status = _STATUS.search(text)
    code = int(status[1]) if status else None
    url = _URL.search(text)
    hint = None
    if code in (401, 403):
        hint = "the channel wants other credentials: a token or user in its URL in .condarc, or ~/.netrc"
    elif "certificate" in text.lower():
        hint = "name the server's CA with SSL_CERT_FILE"
    return NetworkError(
        f"the channel {shown} could not be asked: {text}",
        url=redacted(url[0]) if url else None,
        status=code,
        temporary=code is None or code >= 500,  # noqa: PLR2004 - HTTP's class of server errors
        hint=hint,
    )


def hidden(text: str, channels: Channels) -> str:
    """The text without what the channels' addresses hold of secrets."""
    for secret in sorted(channels.secrets, key=len, reverse=True):
        text = text.replace(secret, "****")
    return text


def _channel_in(text: str, channels: Channels) -> Channel | None:
    """The channel whose address, with or without credentials, the text names."""
    every = [channel for group in channels.groups for channel in group.channels]
    for url in map(without_credentials, _URL.findall(text)):
        found = [each for each in every if f"{url}/".startswith(without_credentials(each.address))]
        if found:
            return max(found, key=lambda each: len(each.address))
    return None


def _at(origin: Origin | None, message: str, *, hint: str | None) -> RepositoryError:
    return RepositoryError(
        message, file=origin.file if origin else None, line=origin.line if origin else None, hint=hint
    )
