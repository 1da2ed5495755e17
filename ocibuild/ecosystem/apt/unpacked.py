"""What lies in an image whose new packages are unpacked and not configured: triggers, and what the step reads.

Source: dpkg 1.21's ``lib/dpkg/trigdeferred.l`` (the format of Unincorp: a trigger and who awaits it, ``-`` for nobody)
and ``lib/dpkg/triglib.c`` (only packages that are configured become pending).
"""

from collections.abc import Iterator
from importlib import resources

from ocibuild.ecosystem.apt.configure.triggers import activated_triggers
from ocibuild.ecosystem.apt.installation import Installation
from ocibuild.ecosystem.apt.place import INFO_FOLDER
from ocibuild.ecosystem.apt.script_calls import calls_before_configuring, old_script_path
from ocibuild.ecosystem.apt.status import earlier_record, obsolete_conffiles
from ocibuild.image.overlay import Overlay

__all__ = ["DRIVER_PATH", "STEP_FOLDER", "leave_unconfigured"]

STEP_FOLDER = "var/lib/ocibuild/configure"
"""What the step reads, and removes when it ends well."""

DRIVER_PATH = f"{STEP_FOLDER}/run"
"""The shell script that the step runs (``configure_step.sh``)."""

_DRIVER = "configure_step.sh"
_KEY_STORE_TIMES = "configure_cacerts.pl"
_CALLS = f"{STEP_FOLDER}/calls"
_CONFFILES = f"{STEP_FOLDER}/conffiles"
_OBSOLETE = f"{STEP_FOLDER}/obsolete"
_OLD_SCRIPTS = f"{STEP_FOLDER}/old"
_UNINCORPORATED = "var/lib/dpkg/triggers/Unincorp"


def leave_unconfigured(overlay: Overlay, installation: Installation) -> None:
    """Write what the step needs into ``overlay``, which holds dpkg's database with the packages unpacked.

    Pending triggers are those that dpkg would hold then: they make it run the ``postinst triggered`` of packages of the
    base. The step's folder holds its driver, the list of what it runs first, scripts of versions that are gone, and the
    places of new conffiles. dpkg leaves those beside their places until their package is configured, and scripts of
    other packages count on that: a hook must not be there before what it calls works. Layers hold them in place, so the
    step puts them aside first. A conffile that replaces another stays, so that scripts are never without one.
    """
    activated = activated_triggers(overlay, installation.configured_packages(), installation.activated_by_what_goes())
    names = sorted({name for names in activated.values() for name in names})
    before = overlay.read_text(_UNINCORPORATED, "")
    overlay.write(_UNINCORPORATED, before + "".join(f"{name} -\n" for name in names))
    overlay.make_folders(STEP_FOLDER)
    for name, path in ((_DRIVER, DRIVER_PATH), (_KEY_STORE_TIMES, f"{STEP_FOLDER}/{_KEY_STORE_TIMES}")):
        overlay.write(path, resources.files(__package__).joinpath(name).read_bytes(), mode=0o755)
    base, database = installation.base, installation.database
    calls = calls_before_configuring(
        installation.placed, installation.removed, base=base, database=database, old_scripts=_OLD_SCRIPTS
    )
    overlay.write(_CALLS, "".join(f"{call.line}\n" for call in calls))
    places = sorted(place for places in installation.new_conffiles().values() for place in places.values())
    overlay.write(_CONFFILES, "".join(f"/{place}\n" for place in places))
    overlay.write(_OBSOLETE, "".join(f"{line}\n" for line in _obsolete_lines(installation)))
    replaced = (database.get(deb.package.name, deb.package.architecture) for deb in installation.placed)
    for package in (*installation.removed, *(old for old in replaced if old is not None)):
        for member in ("prerm", "postrm"):
            path = f"{INFO_FOLDER}/{package.info_name}.{member}"
            if path in base:
                overlay.make_folders(_OLD_SCRIPTS)
                overlay.write(old_script_path(_OLD_SCRIPTS, package, member), base.read(path), mode=0o755)


def _obsolete_lines(installation: Installation) -> Iterator[str]:
    """Package, path, MD5 and flag of each conffile that only the replaced version had."""
    for deb in installation.placed:
        old = earlier_record(deb, installation.database)
        if old is not None:
            for name in obsolete_conffiles(deb, old, installation.view):
                yield f"{deb.info_name} {name} {old.conffiles[name]} obsolete"
