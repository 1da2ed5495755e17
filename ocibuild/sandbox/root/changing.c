/* System calls that change a file's mode, owner, times and length. */
#include "access.h"
#include "arguments.h"
#include "creation.h"
#include "process.h"

/* Who may not set the group's bit for a file of another group loses it. */
static unsigned allowed_mode(const struct place *place, unsigned mode) {
    const struct identity *identity = &current_process()->identity;
    if (!(mode & S_ISGID) || has_capability(identity, CAP_FSETID) || place->zone != IN_ROOT)
        return mode;
    int flags = place->outside[0] ? 0 : AT_EMPTY_PATH;
    struct owner owner = owner_seen(place->zone, place->directory, place->outside, flags, &place->object);
    return is_in_group(identity, owner.gid) ? mode : mode & ~(unsigned)S_ISGID;
}

/* `path` is of the open file itself, for descriptors that fchmod(2) does not take (O_PATH). */
static long change_mode_of_descriptor(int descriptor, const char *path, unsigned mode) {
    struct place place;
    long result = find_descriptor(&place, descriptor);
    if (result)
        return result;
    const struct identity *identity = &current_process()->identity;
    struct owner owner = owner_seen(place.zone, place.directory, "", AT_EMPTY_PATH, &place.object);
    if (!has_capability(identity, CAP_FOWNER) && identity->file_uid != owner.uid)
        return -EPERM;
    mode = allowed_mode(&place, mode);
    return path ? kernel(__NR_fchmodat, AT_FDCWD, path, mode) : kernel(__NR_fchmod, descriptor, mode);
}

long call_fchmod(struct call *call) {
    return change_mode_of_descriptor((int)call->arguments[0], NULL, (unsigned)call->arguments[1]);
}

/* fchmodat2 has flags, fchmodat has none. */
long call_fchmodat(struct call *call) {
    struct place place;
    int flags = call->number == __NR_fchmodat2 ? (int)call->arguments[3] : 0;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags)) {
        char path[DESCRIPTOR_PATH_SIZE];
        descriptor_path(path, DIRECTORY_ARGUMENT(call, 0));
        return change_mode_of_descriptor(DIRECTORY_ARGUMENT(call, 0), path, (unsigned)call->arguments[2]);
    }
    unsigned wanted = follow_unless(flags & AT_SYMLINK_NOFOLLOW) | WANT_OBJECT;
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), wanted);
    if (result || (result = check_owner(&place)))
        return result;
    if (flags && place.exists && S_ISLNK(place.object.st_mode))
        return -EOPNOTSUPP;
    unsigned mode = allowed_mode(&place, (unsigned)call->arguments[2]);
    return WITH_ACCESS(&place, false, kernel(__NR_fchmodat, place.directory, place.outside, mode));
}

static long check_new_owner(struct owner old, struct owner new) {
    const struct identity *identity = &current_process()->identity;
    if (has_capability(identity, CAP_CHOWN))
        return 0;
    bool is_owner = identity->file_uid == old.uid;
    bool keeps_uid = new.uid == old.uid;
    bool may_have_group = new.gid == old.gid || is_in_group(identity, new.gid);
    return is_owner && keeps_uid && may_have_group ? 0 : -EPERM;
}

/* As the kernel does it for everybody: the mode bits that lend an identity do not survive a new owner. */
static void drop_lent_identity(const struct place *place, int flags) {
    unsigned mode = place->object.st_mode;
    unsigned kept = mode & ~(unsigned)S_ISUID;
    if (mode & S_IXGRP)
        kept &= ~(unsigned)S_ISGID;
    if (!S_ISREG(mode) || kept == mode)
        return;
    char path[DESCRIPTOR_PATH_SIZE];
    descriptor_path(path, place->directory);
    if (flags & AT_EMPTY_PATH)
        kernel(__NR_fchmodat, AT_FDCWD, path, kept & 07777);
    else
        kernel(__NR_fchmodat, place->directory, place->outside, kept & 07777);
}

static long change_owner(const struct place *place, int flags, uint32_t uid, uint32_t gid) {
    struct owner old = owner_seen(place->zone, place->directory, place->outside, flags, &place->object);
    struct owner new = {uid == NO_CHANGE ? old.uid : uid, gid == NO_CHANGE ? old.gid : gid};
    long result = check_new_owner(old, new);
    if (result || place->zone != IN_ROOT || (uid == NO_CHANGE && gid == NO_CHANGE))
        return result;
    struct file_key key;
    struct owner recorded;
    result = file_key_at(place->directory, place->outside, flags, &key);
    if (!result && !(is_default_owner(new) && !find_owner(key, &recorded)))
        result = record_owner(key, new);
    if (!result)
        drop_lent_identity(place, flags);
    return result;
}

long call_fchownat(struct call *call) {
    struct place place;
    int flags = (int)call->arguments[4];
    long result;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags)) {
        flags = AT_EMPTY_PATH;
        result = find_descriptor(&place, DIRECTORY_ARGUMENT(call, 0));
    } else {
        result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                            follow_unless(flags & AT_SYMLINK_NOFOLLOW) | WANT_OBJECT);
        flags = AT_SYMLINK_NOFOLLOW; /* the place is where links lead to */
    }
    if (result)
        return result;
    if (place.is_read_only)
        return -EROFS;
    if (!place.exists)
        return kernel(__NR_faccessat, place.directory, place.outside, 0);
    return change_owner(&place, flags, (uint32_t)call->arguments[2], (uint32_t)call->arguments[3]);
}

long call_fchown(struct call *call) {
    struct place place;
    long result = find_descriptor(&place, (int)call->arguments[0]);
    if (result)
        return result;
    enum { NOT_FOR_PATHS = O_PATH };
    if (kernel(__NR_fcntl, place.directory, F_GETFL) & NOT_FOR_PATHS)
        return -EBADF;
    return change_owner(&place, AT_EMPTY_PATH, (uint32_t)call->arguments[1], (uint32_t)call->arguments[2]);
}

long call_utimensat(struct call *call) {
    struct place place;
    int flags = (int)call->arguments[3];
    if (!call->arguments[1] || is_empty_path(PATH_ARGUMENT(call, 1), flags))
        return make_call(call);
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                             follow_unless(flags & AT_SYMLINK_NOFOLLOW) | WANT_OBJECT);
    if (result)
        return result;
    result = check_owner(&place);
    bool is_now = !call->arguments[2];
    if (result == -EPERM && is_now)
        result = check_object(&place, ACCESS_WRITE);
    if (result)
        return result;
    return WITH_ACCESS(&place, true,
                       kernel(__NR_utimensat, place.directory, place.outside, call->arguments[2], flags));
}

long call_truncate(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST | WANT_OBJECT);
    if (result || (place.exists && (result = check_object(&place, ACCESS_WRITE))))
        return result;
    return WITH_ACCESS(&place, true, kernel(__NR_truncate, place.outside, call->arguments[1]));
}
