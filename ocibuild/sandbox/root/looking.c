/* System calls that look at files. */
#include "access.h"
#include "arguments.h"
#include "proc.h"
#include "process.h"

#include <asm/statfs.h>

long call_newfstatat(struct call *call) {
    int flags = (int)call->arguments[3];
    struct stat *object = (struct stat *)call->arguments[2];
    struct place place;
    long result;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags)) {
        place.directory = DIRECTORY_ARGUMENT(call, 0);
        place.outside[0] = 0;
        result = kernel(__NR_newfstatat, place.directory, "", object, flags);
        if (!result)
            place.zone = zone_of_descriptor(object);
    } else {
        result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                            follow_unless(flags & AT_SYMLINK_NOFOLLOW));
        if (!result)
            result = WITH_ACCESS(&place, false, kernel(__NR_newfstatat, place.directory, place.outside, object, flags));
    }
    if (result)
        return result;
    struct owner owner = owner_seen(place.zone, place.directory, place.outside, flags, object);
    object->st_uid = owner.uid;
    object->st_gid = owner.gid;
    return 0;
}

/* How the kernel writes a device in a struct stat (new_encode_dev). */
static uint64_t device_number(uint32_t major, uint32_t minor) {
    return (minor & 0xff) | major << 8 | (uint64_t)(minor & ~0xffU) << 12;
}

long call_statx(struct call *call) {
    int flags = (int)call->arguments[2];
    unsigned mask = (unsigned)call->arguments[3];
    struct statx *facts = (struct statx *)call->arguments[4];
    struct place place = {.directory = DIRECTORY_ARGUMENT(call, 0)};
    bool is_descriptor = is_empty_path(PATH_ARGUMENT(call, 1), flags);
    long result = 0;
    if (is_descriptor)
        result = kernel(__NR_statx, place.directory, "", flags, mask, facts);
    else if (!(result = find_place(&place, place.directory, PATH_ARGUMENT(call, 1),
                                   follow_unless(flags & AT_SYMLINK_NOFOLLOW))))
        result = WITH_ACCESS(&place, false, kernel(__NR_statx, place.directory, place.outside, flags, mask, facts));
    if (result)
        return result;
    struct stat object = {
        .st_ino = facts->stx_ino, .st_mode = facts->stx_mode, .st_uid = facts->stx_uid, .st_gid = facts->stx_gid};
    object.st_dev = device_number(facts->stx_dev_major, facts->stx_dev_minor);
    if (is_descriptor)
        place.zone = zone_of_descriptor(&object);
    struct owner owner = owner_seen(place.zone, place.directory, place.outside, flags, &object);
    facts->stx_uid = owner.uid;
    facts->stx_gid = owner.gid;
    return 0;
}

/* access(2) asks for the real ids, which it makes those of the question. */
long call_faccessat(struct call *call) {
    unsigned access = (unsigned)call->arguments[2];
    int flags = call->number == __NR_faccessat ? 0 : (int)call->arguments[3];
    struct place place;
    long result;
    if (access & ~7U || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags))
        result = find_descriptor(&place, DIRECTORY_ARGUMENT(call, 0));
    else
        result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                            follow_unless(flags & AT_SYMLINK_NOFOLLOW) | WANT_OBJECT);
    if (result)
        return result;
    if (!place.exists)
        return kernel(__NR_faccessat, place.directory, place.outside, 0); /* ENOENT or ENOTDIR */
    if (place.zone != IN_ROOT)
        return (access & ACCESS_WRITE) && place.is_read_only
                   ? -EROFS
                   : kernel(__NR_faccessat, place.directory, place.outside, access);
    struct identity identity = current_process()->identity;
    if (!(flags & AT_EACCESS)) {
        identity.file_uid = identity.real_uid;
        identity.file_gid = identity.real_gid;
        identity.effective = identity.real_uid == 0 ? identity.permitted : 0;
    }
    return check_modes(&identity, &place, &place.object, access);
}

long call_readlinkat(struct call *call) {
    struct place place;
    const char *name = PATH_ARGUMENT(call, 1);
    char *to = (char *)call->arguments[2];
    size_t size = (size_t)(int)call->arguments[3];
    if (is_readable(name, 1) && !*name)
        return make_call(call); /* the link that a descriptor is open at */
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), name, 0);
    if (result)
        return result;
    if (place.zone != IN_PROC)
        return WITH_ACCESS(&place, false, kernel(__NR_readlinkat, place.directory, place.outside, to, size));
    char target[PATH_SIZE];
    /* The kernel tries whether the address can be written. */
    result = kernel(__NR_readlinkat, place.directory, place.outside, to, size);
    if (failed(result))
        return result;
    result = show_proc_link(place.outside, target);
    if (failed(result))
        return result;
    size_t length = (size_t)result < size ? (size_t)result : size;
    memcpy(to, target, length);
    return (long)length;
}

long call_statfs(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST);
    return result ? result : WITH_ACCESS(&place, false, kernel(__NR_statfs, place.outside, call->arguments[1]));
}

long call_inotify_add_watch(struct call *call) {
    enum { DONT_FOLLOW = 0x02000000 /* IN_DONT_FOLLOW */ };
    struct place place;
    long result =
        find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 1), follow_unless(call->arguments[2] & DONT_FOLLOW));
    if (result)
        return result;
    return WITH_ACCESS(&place, true,
                       kernel(__NR_inotify_add_watch, call->arguments[0], place.outside, call->arguments[2]));
}

long call_name_to_handle_at(struct call *call) {
    struct place place;
    int flags = (int)call->arguments[4];
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags))
        return make_call(call);
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                             follow_unless(!(flags & AT_SYMLINK_FOLLOW)));
    if (result)
        return result;
    return kernel(__NR_name_to_handle_at, place.directory, place.outside, call->arguments[2], call->arguments[3],
                  flags & ~AT_SYMLINK_FOLLOW);
}
