"""What a failed resolution means for the user: uv's own words, with the line that asked and what can be done."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ocibuild.core.errors import BuildError, NetworkError, OcibuildError, RepositoryError
from ocibuild.ecosystem.pip.requirement import PipRequirement
from ocibuild.ecosystem.pip.stand_in import REFUSAL
from ocibuild.ecosystem.pip.uv import UvAnswer
from ocibuild.net.address import redacted

__all__ = ["explained", "names_one", "near_names", "source_only_names", "unbuilt_pins", "unbuilt_urls"]

_NETWORK = re.compile(
    r"Failed to fetch|Request failed after|error sending request|dns error|network was disabled|client error"
    r"|lack of valid authentication|HTTP status|Failed to download `|invalid peer certificate|timed out"
)
_STATUS = re.compile(r"\((\d{3}) [A-Za-z ]+\)")
_URL = re.compile(r"https?://[^\s`()]+")
_UNKNOWN = re.compile(r"(\S+) was not found in (?:the package registry|the provided package locations)")
_BUILD_NEEDED = re.compile(r"Wheels are required for `([^`]+)` because building from source is disabled")
_UNBUILT = re.compile(r"Failed to (?:download and )?build `([a-z0-9][a-z0-9-]*)==([^`\s]+)`")
_UNBUILT_URL = re.compile(
    r"(?:Failed to (?:download and )?build|included as a URL dependency[^`]*Consider adding)"
    r" `([a-z0-9][a-z0-9-]*)(?:\[[^\]]*\])? @ ([^`\s]+)`"
)
_UNSATISFIABLE = "No solution found when resolving dependencies"

# The name one imports -> the name on the index, where they differ so much that a spelling check does not help.
_IMPORT_NAMES = {
    "bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil", "dotenv": "python-dotenv",
    "fitz": "pymupdf", "git": "gitpython", "igraph": "python-igraph", "lxml-etree": "lxml", "pil": "pillow",
    "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
_COMMON_NAMES = (
    "altair", "astropy", "beautifulsoup4", "bokeh", "boto3", "cartopy", "click", "cython", "dask", "django",
    "fastapi", "flask", "geopandas", "h5py", "httpx", "ipykernel", "ipywidgets", "joblib", "jupyterlab", "keras",
    "lightgbm", "lxml", "matplotlib", "networkx", "nltk", "notebook", "numba", "numpy", "opencv-python-headless",
    "openpyxl", "pandas", "pillow", "plotly", "polars", "protobuf", "pyarrow", "pydantic", "pytest", "pyyaml",
    "rasterio", "requests", "scikit-image", "scikit-learn", "scipy", "seaborn", "shapely", "spacy", "sqlalchemy",
    "statsmodels", "streamlit", "sympy", "tensorboard", "tensorflow", "torch", "torchvision", "tqdm", "transformers",
    "voila", "xarray", "xgboost",
)  # fmt: skip


def source_only_names(answer: UvAnswer) -> tuple[str, ...]:
    """The packages that uv could only have built from source, and was told not to."""
    return tuple(dict.fromkeys(_BUILD_NEEDED.findall(answer.messages)))


def unbuilt_pins(answer: UvAnswer) -> tuple[tuple[str, str], ...]:
    """Names and versions of source packages of an index whose dependencies only a build can tell."""
    if answer.is_done or REFUSAL not in answer.messages:
        return ()
    return tuple(dict.fromkeys(_UNBUILT.findall(answer.messages)))


def unbuilt_urls(answer: UvAnswer) -> tuple[tuple[str, str], ...]:
    """Names and URLs (archives, ``git+https://...``) of sources that a package asks for."""
    return () if answer.is_done else tuple(dict.fromkeys(_UNBUILT_URL.findall(answer.messages)))


def names_one(text: str, name: str) -> bool:
    """Whether a text of uv's names this package."""
    return re.search(rf"(?<![A-Za-z0-9_.-]){re.escape(name)}(?![A-Za-z0-9_-])", text) is not None


def near_names(name: str) -> tuple[str, ...]:
    """Well-known projects that may have been meant by a name that no index has."""
    if name in _IMPORT_NAMES:
        return (_IMPORT_NAMES[name],)
    return tuple(get_close_matches(name, _COMMON_NAMES, n=3, cutoff=0.75))


def explained(answer: UvAnswer, required: Sequence[PipRequirement]) -> OcibuildError:
    """The error for an answer that is not done; the caller has dealt with :func:`source_only_names`."""
    text = _own_words(answer.messages)
    if _NETWORK.search(answer.messages):
        return _network_error(text, answer.messages)
    unknown = _UNKNOWN.findall(answer.messages)
    if unknown:
        near = [each for name in unknown for each in near_names(name)]
        hint = (
            f"did you mean {', '.join(near)}?" if near else "look the name up on the index: it may be spelt otherwise"
        )
        return _at_line(text, required, unknown, hint=hint)
    if _UNSATISFIABLE in answer.messages or answer.exit_code == 1:
        names = re.findall(r"you require ([A-Za-z0-9._-]+)", text)
        return _at_line(text, required, names or [each.name for each in required if each.name in text])
    return BuildError(f"uv could not resolve the Python packages: {text}")


def _own_words(messages: str) -> str:
    lines = [
        line for line in messages.splitlines() if line and not line.startswith(("warning: ", "Resolved ", "Using "))
    ]
    return "\n".join(lines).removeprefix("error: ").strip() or "it said nothing"


def _network_error(text: str, messages: str) -> NetworkError:
    status = _STATUS.search(messages)
    url = _URL.search(messages)
    code = int(status[1]) if status else None
    hint = None
    if code in (401, 403) or "valid authentication" in messages:
        hint = "the index wants other credentials: set them in its URL in pip's or uv's configuration, or in ~/.netrc"
    elif "invalid peer certificate" in messages:
        hint = "name the CA of the index with SSL_CERT_FILE, or with pip's setting cert"
    return NetworkError(
        f"the package index could not be asked: {text}",
        url=redacted(url[0]) if url else None,
        status=code,
        temporary=code is None or code >= 500,  # noqa: PLR2004 - HTTP's class of server errors
        hint=hint,
    )


def _at_line(
    text: str, required: Sequence[PipRequirement], names: Iterable[str], *, hint: str | None = None
) -> RepositoryError:
    """The error at the line of the first requirement named; further lines are listed behind uv's words."""
    wanted = set(names)
    origins = [each.origin for each in required if each.name in wanted]
    first = origins[0] if origins else None
    others = list(dict.fromkeys(str(origin) for origin in origins[1:] if origin != first))
    also = f"\n(see also {', '.join(others)})" if others else ""
    return RepositoryError(
        f"{text}{also}", file=first.file if first else None, line=first.line if first else None, hint=hint
    )
