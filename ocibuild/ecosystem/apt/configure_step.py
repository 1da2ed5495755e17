"""The step that runs what is not known as data: maintainer scripts of packages that are unpacked, by dpkg."""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ocibuild.core.clock import FIXED_TIME
from ocibuild.core.paths import DEFAULT_PATH
from ocibuild.core.step import Step
from ocibuild.ecosystem.apt.configure import UnknownScript
from ocibuild.ecosystem.apt.unpacked import DRIVER_PATH

__all__ = ["DIFFERS_BETWEEN_RUNS", "ENVIRONMENT", "configure_step", "read_unknown_scripts", "write_unknown_scripts"]

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "PATH": DEFAULT_PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        # debconf(7): nobody is asked, and what was never asked has its default.
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        # What makes two runs equal: times in files, TeX's formats, the order of Perl's and Python's hashes.
        "SOURCE_DATE_EPOCH": str(FIXED_TIME),
        "FORCE_SOURCE_DATE": "1",
        "PERL_HASH_SEED": "0",
        "PERL_PERTURB_KEYS": "0",
        "PYTHONHASHSEED": "0",
    }
)
"""All of the step's environment, but for who it runs as. There is no TZ: scripts see UTC."""

DIFFERS_BETWEEN_RUNS: Mapping[str, str] = MappingProxyType(
    {
        "etc/ssh/ssh_host_*_key*": "openssh-server makes keys, which all containers of the image share then",
        "etc/ssl/certs/ssl-cert-snakeoil.pem": "ssl-cert makes a certificate, as of a machine",
        "etc/ssl/private/ssl-cert-snakeoil.key": "ssl-cert makes a key, as of a machine",
        "etc/munge/munge.key": "munge makes a key, as of a cluster",
        "etc/aliases.db": "Berkeley DB gives every file an id of its own",
        "etc/ldap/slapd.d/*": "slapd makes a directory, with times and ids in it",
        "var/lib/ldap/*": "slapd makes a directory, with times and ids in it",
        "var/lib/mysql/*": "mariadb-server makes a database, with times and ids in it",
        "var/lib/postgresql/*": "postgresql makes a cluster, with times and ids in it",
        "usr/share/octave/octave_packages": "octave writes the time into it",
        "var/cache/debconf/passwords.dat": "answers that are random passwords",
        "var/lib/texmf/*": "TeX's formats and their logs hold times, Lua's also the order of its tables",
    }
)
"""What two runs of the step make differently, and why (patterns of :mod:`fnmatch`); everything else is the same.

Found with the packages of ``tests/oracle/test_apt_configure_step.py`` on two file systems.
"""

_SHOWN_REASONS = 5


def configure_step(unknown: Sequence[UnknownScript]) -> Step:
    """The step for an image whose new packages are unpacked (:func:`ocibuild.ecosystem.apt.state.make_state`).

    ``unknown`` are the scripts for which it is needed. What it depends on lies in the layers below, its driver too. The
    folders for sockets that packages make below /run are kept: nothing makes them in a container.
    """
    return Step(
        name="configure Debian packages",
        arguments=("/bin/sh", f"/{DRIVER_PATH}"),
        why=_why(unknown),
        environment=ENVIRONMENT,
        network=False,
        has_secrets=False,
        keep=("/run/**",),
        has_image_environment=False,
    )


def _why(unknown: Sequence[UnknownScript]) -> str:
    """The packages and reasons in one line; of many, the first."""
    reasons = [f"{script.package}: {script.member}: {script.why}" for script in unknown]
    more = len(reasons) - _SHOWN_REASONS
    shown = "; ".join(reasons[:_SHOWN_REASONS])
    return f"{shown}; and {more} more scripts" if more > 0 else shown


def write_unknown_scripts(unknown: Iterable[UnknownScript]) -> bytes:
    """The scripts as a note beside a fragment."""
    return json.dumps([[script.package, script.member, script.why] for script in unknown]).encode()


def read_unknown_scripts(note: bytes) -> tuple[UnknownScript, ...]:
    """The scripts that :func:`write_unknown_scripts` wrote."""
    return tuple(UnknownScript(*fields) for fields in json.loads(note))
