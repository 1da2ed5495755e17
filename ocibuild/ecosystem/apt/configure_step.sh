#!/bin/sh
# Configures Debian packages that are unpacked: what `apt-get install` does behind unpacking.
#
# Beside this file lie lists, a line each:
#   conffiles: PLACE                    of new conffiles
#   obsolete: PACKAGE LINE              of conffiles that the new version lacks, with their lines of dpkg's status
#   calls: MEMBER PACKAGE ARCHITECTURE INSTANCES FILE ARGUMENT...
#                                       a script that dpkg runs while it unpacks (preinst, prerm, postrm)
#          configure PACKAGE...         what the next script pre-depends on
# When all went well this folder is gone; after a failure it is still there, and the script can be run again.
set -eu
umask 022
cd /
here=/var/lib/ocibuild/configure
admindir=/var/lib/dpkg
policy=/usr/sbin/policy-rc.d
daemons=/sbin/start-stop-daemon

# Daemons must not start. An image's own policy is respected; what is put here goes again, whatever happens.
made_policy=
moved_daemons=
restore() {
    [ -z "$made_policy" ] || rm -f "$policy"
    [ -z "$moved_daemons" ] || mv -f "$daemons.REAL" "$daemons"
    rm -rf "$admindir/tmp.ci"
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
if [ -f "$daemons" ] && [ ! -e "$daemons.REAL" ]; then # scripts that do not ask policy-rc.d; as debootstrap does it
    mv "$daemons" "$daemons.REAL"
    moved_daemons=yes
    printf '#!/bin/sh\necho "start-stop-daemon: no daemon is started while packages are configured"\n' >"$daemons"
    chmod 755 "$daemons"
fi

# What names one machine or one moment must not enter the image, unless it is there already; nor what depends on the
# order in which a file system lists a folder.
[ -e "$here/started" ] || touch "$here/started"
machine_id=/etc/machine-id
[ ! -s "$machine_id" ] || machine_id=
dbus_machine_id=/var/lib/dbus/machine-id
[ ! -e "$dbus_machine_id" ] || dbus_machine_id=
adduser_lock=/run/adduser
[ ! -e "$adduser_lock" ] || adduser_lock=
forget_machine() {
    if [ -f "$machine_id" ]; then
        : >"$machine_id" # empty, as machine-id(5) has it for images
    fi
    if [ ! -L "$dbus_machine_id" ]; then
        rm -f "$dbus_machine_id"
    fi
    rm -f "$adduser_lock"
    for file in /etc/shadow /etc/gshadow /etc/shadow- /etc/gshadow-; do
        # useradd copies the group that it sees, which is root's where a sandbox only records owners.
        [ ! "$file" -nt "$here/started" ] || chown root:shadow "$file"
    done
    if [ -f /etc/ssl/certs/java/cacerts ]; then
        perl "$here/configure_cacerts.pl" /etc/ssl/certs/java/cacerts "$SOURCE_DATE_EPOCH"
    fi
    if [ -d /var/cache/man ]; then # man-db's index, in the order of folders; mandb(8) makes it again
        find /var/cache/man -mindepth 1 -newer "$here/started" ! -type d -exec rm -f {} +
        find /var/cache/man -mindepth 1 -depth -type d -newer "$here/started" -exec rmdir {} + 2>/dev/null || true
    fi
    info=/usr/share/info
    if [ -e "$info/dir" ] && [ "$info/dir" -nt "$here/started" ]; then # as update-info-dir(8), in order
        rm -f "$info/dir"
        find "$info" -type f | LC_ALL=C sort | while IFS= read -r manual; do
            case $manual in
                */dir | */dir.gz | */dir.old | */dir.old.gz | *-[0-9] | *-[0-9].gz | *-[1-9][0-9] | *-[1-9][0-9].gz | *.png | *.jpg) ;;
                *) install-info "$manual" "$info/dir" || true ;;
            esac
        done
    fi
}

# Until its package is configured a conffile lies beside its place; dpkg puts it there.
if [ -e "$here/conffiles" ]; then
    while IFS= read -r conffile; do
        mv "$conffile" "$conffile.dpkg-new"
    done <"$here/conffiles"
    rm "$here/conffiles"
fi

# --no-triggers and --force-depends are what apt gives, too, while it is not done.
dpkg_configure() {
    dpkg --force-unsafe-io --force-confdef --force-confold --log=/dev/null "$@" </dev/null
}

# A preinst runs where dpkg has it, among the other files of its control archive: debconf looks for them there.
stage_control() {
    rm -rf "$admindir/tmp.ci"
    mkdir "$admindir/tmp.ci"
    dpkg-query --status "$1" >"$admindir/tmp.ci/control"
    for member in conffiles config md5sums postinst postrm preinst prerm templates triggers; do
        [ ! -e "${2%.*}.$member" ] || cp -p "${2%.*}.$member" "$admindir/tmp.ci/$member"
    done
}

# In the environment that dpkg gives to scripts (dpkg(1), "Internal environment").
run_script() {
    DPKG_MAINTSCRIPT_NAME=$1
    DPKG_MAINTSCRIPT_PACKAGE=$2
    DPKG_MAINTSCRIPT_ARCH=$3
    DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=$4
    file=$5
    shift 5
    if [ "$DPKG_MAINTSCRIPT_NAME" = preinst ]; then
        stage_control "$(basename "$file" .preinst)" "$file"
        file=$admindir/tmp.ci/preinst
    fi
    "$file" "$@" </dev/null 3<&- || {
        code=$?
        echo "ocibuild: package $DPKG_MAINTSCRIPT_PACKAGE: '$DPKG_MAINTSCRIPT_NAME $*' failed with exit code $code" >&2
        exit "$code"
    }
}

export DPKG_MAINTSCRIPT_NAME DPKG_MAINTSCRIPT_PACKAGE DPKG_MAINTSCRIPT_ARCH DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT
export DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ADMINDIR="$admindir" DPKG_ROOT= DPKG_COLORS=never PERL_DL_NONLAZY=1
DPKG_RUNNING_VERSION=$(dpkg --version | sed -n '1s/.* version \([^ ]*\) .*/\1/p')
export DPKG_RUNNING_VERSION
while read -r call rest <&3; do
    set -f
    # shellcheck disable=SC2086 # a line's words are its arguments
    set -- $rest
    set +f
    if [ "$call" = configure ]; then
        dpkg_configure --force-depends --no-triggers --configure "$@" 3<&-
    else
        run_script "$call" "$@"
    fi
done 3<"$here/calls"
unset DPKG_MAINTSCRIPT_NAME DPKG_MAINTSCRIPT_PACKAGE DPKG_MAINTSCRIPT_ARCH DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT
unset DPKG_MAINTSCRIPT_DEBUG DPKG_ADMINDIR DPKG_ROOT DPKG_RUNNING_VERSION
rm -rf "$admindir/tmp.ci"

# What a preinst took away is no obsolete conffile: dpkg would have looked for it only then.
without_line() {
    grep -vxF -e "$2" "$1" >"$here/rest" || [ $? -eq 1 ]
    cat "$here/rest" >"$1"
}
while read -r package line; do
    conffile=${line% * obsolete}
    if [ ! -e "$conffile" ] && [ ! -L "$conffile" ]; then
        without_line "$admindir/status" " $line"
        without_line "$admindir/info/$package.list" "$conffile"
    fi
done <"$here/obsolete"

dpkg_configure --configure -a
faults=$(dpkg --audit)
if [ -n "$faults" ]; then
    echo "ocibuild: dpkg finds the packages in a wrong state when all were configured:" >&2
    echo "$faults" >&2
    exit 1
fi
forget_machine
rm -rf "$here"
rmdir /var/lib/ocibuild 2>/dev/null || true
