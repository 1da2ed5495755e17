"""What other libraries raise about the network, as this program's errors: the one place that maps them."""

from collections.abc import Iterator
from dataclasses import dataclass

from ocibuild.core.errors import NetworkError
from ocibuild.net.address import redacted

__all__ = ["foreign_errors", "network_error"]

_CA_HINT = "if this server uses its own certificate authority, name its PEM file with --ca or SSL_CERT_FILE"
# Words of OpenSSL's errors where the other side does not speak TLS at all.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What went wrong in words, whether it may go away by itself, and what to do about it."""

    reason: str
    temporary: bool = False
    hint: str | None = None


def foreign_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a request, or reading its answer, may raise. requests must have been imported already."""
    import requests  # noqa: PLC0415 - see the design: requests is imported only when the network is used
    import urllib3  # noqa: PLC0415 - as requests

    return (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def network_error(error: BaseException, *, method: str, url: str) -> NetworkError:
    """The NetworkError for an exception of :func:`foreign_errors`.

    Its text is made from the innermost cause, never from the exception's own message, which would hold the whole URL.
    Temporary are timeouts, connections that broke, and a name server that does not answer.
    """
    shown = redacted(url)
    verdict = _judge(list(_causes(error)))
    return NetworkError(
        f"{method} {shown}: {verdict.reason}", method=method, url=shown, temporary=verdict.temporary, hint=verdict.hint
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it wraps, in ``__cause__``, ``__context__``, ``reason`` or its arguments."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        pending += [item for item in wrapped if isinstance(item, BaseException)]


def _judge(causes: list[BaseException]) -> _Verdict:
    """The verdict of the first judge that knows one of the causes: those that know more are asked first."""
    for judge in (_judge_tls, _judge_proxy, _judge_time, _judge_connection, _judge_protocol, _judge_request):
        for cause in causes:
            verdict = judge(cause)
            if verdict is not None:
                return verdict
    return _Verdict("the connection broke", temporary=True)


def _judge_tls(cause: BaseException) -> _Verdict | None:
    import socket  # noqa: PLC0415 - a client that sends nothing must not pay for ssl
    import ssl  # noqa: PLC0415 - as socket

    if isinstance(cause, socket.gaierror):
        # EAI_AGAIN: the name server did not answer. Any other code is its answer.
        return _Verdict(
            f"the host name cannot be resolved: {cause.strerror}", temporary=cause.errno == socket.EAI_AGAIN
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _Verdict(f"the server's certificate is not trusted: {cause.verify_message}", hint=_CA_HINT)
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _Verdict("the encrypted connection broke", temporary=True)
    if not isinstance(cause, ssl.SSLError):
        return None
    if any(word in str(cause) for word in _NOT_TLS):
        return _Verdict("the server does not speak TLS here", hint="if it is a plain http server, name it insecure")
    return _Verdict(f"TLS failed: {cause.reason or 'unknown reason'}")


def _judge_proxy(cause: BaseException) -> _Verdict | None:
    import requests  # noqa: PLC0415 - see foreign_errors
    import urllib3  # noqa: PLC0415 - see foreign_errors

    if not isinstance(cause, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError):
        return None
    return _Verdict("the proxy refused or cannot be reached", hint="see HTTP_PROXY, HTTPS_PROXY and NO_PROXY")


def _judge_time(cause: BaseException) -> _Verdict | None:
    import requests  # noqa: PLC0415 - see foreign_errors
    import urllib3  # noqa: PLC0415 - see foreign_errors

    if isinstance(cause, requests.Timeout | urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return _Verdict("no answer within the time limit", temporary=True)
    return None


def _judge_connection(cause: BaseException) -> _Verdict | None:
    if isinstance(cause, ConnectionRefusedError):
        return _Verdict("connection refused", hint="is the server running, and is the port right?")
    if isinstance(cause, ConnectionError):
        return _Verdict((cause.strerror or "the connection broke").lower(), temporary=True)
    return None


def _judge_protocol(cause: BaseException) -> _Verdict | None:
    import urllib3  # noqa: PLC0415 - see foreign_errors

    # Among them chunks whose length is missing: what is left of one is read as a malformed number.
    if isinstance(cause, urllib3.exceptions.ProtocolError):
        return _Verdict("the connection ended before the whole answer came", temporary=True)
    return None


def _judge_request(cause: BaseException) -> _Verdict | None:
    if isinstance(cause, ValueError):
        return _Verdict("a request that cannot be sent: the URL or a header is malformed")
    if isinstance(cause, OSError) and cause.errno is not None:
        return _Verdict((cause.strerror or "an input or output error").lower())
    return None
