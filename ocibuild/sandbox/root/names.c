/* System calls that make names of files, and remove them. */
#include "access.h"
#include "arguments.h"
#include "creation.h"

#include <linux/fs.h>

static void record_named_creation(const struct place *place) {
    record_creation(place, place->directory, place->outside, AT_SYMLINK_NOFOLLOW);
}

/* Notes what must be forgotten if the name that is about to go is the file's last. */
static bool note_last_name(const struct place *place, struct file_key *key) {
    struct stat object;
    if (place->zone != IN_ROOT || (owners_are_empty() && attributes_are_empty()))
        return false;
    if (WITH_ACCESS(place, false,
                    kernel(__NR_newfstatat, place->directory, place->outside, &object, AT_SYMLINK_NOFOLLOW)))
        return false;
    if (!S_ISDIR(object.st_mode) && object.st_nlink > 1)
        return false;
    return !file_key_at(place->directory, place->outside, AT_SYMLINK_NOFOLLOW, key);
}

long call_mkdirat(struct call *call) {
    struct place place;
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), WANT_OBJECT);
    if (result || (!place.exists && (result = check_entry_change(&place))))
        return result;
    if (place.exists)
        return -EEXIST;
    result = WITH_ACCESS(&place, false, kernel(__NR_mkdirat, place.directory, place.outside, call->arguments[2]));
    if (!result)
        record_named_creation(&place);
    return result;
}

long call_mknodat(struct call *call) {
    struct place place;
    unsigned mode = (unsigned)call->arguments[2];
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return -EPERM; /* a device can be made by nobody here */
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), WANT_OBJECT);
    if (result || (!place.exists && (result = check_entry_change(&place))))
        return result;
    result = WITH_ACCESS(&place, false, kernel(__NR_mknodat, place.directory, place.outside, mode, 0));
    if (!result)
        record_named_creation(&place);
    return result;
}

long call_symlinkat(struct call *call) {
    struct place place;
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 1), PATH_ARGUMENT(call, 2), WANT_OBJECT);
    if (result || (!place.exists && (result = check_entry_change(&place))))
        return result;
    result = WITH_ACCESS(&place, false,
                         kernel(__NR_symlinkat, call->arguments[0], place.directory, place.outside));
    if (!result)
        record_named_creation(&place);
    return result;
}

long call_linkat(struct call *call) {
    struct place old, made;
    int flags = (int)call->arguments[4];
    long result;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags)) {
        /* The kernel wants a privilege for this form, and none for the other one. */
        old = (struct place){.directory = AT_FDCWD, .zone = IN_ROOT};
        descriptor_path(old.outside, DIRECTORY_ARGUMENT(call, 0));
        flags = AT_SYMLINK_FOLLOW;
        result = 0;
    } else {
        result = find_place(&old, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1),
                            follow_unless(!(flags & AT_SYMLINK_FOLLOW)));
        /* /proc/self/fd/N stays a link that the kernel follows. */
        if (!result && old.zone != IN_PROC)
            flags &= ~AT_SYMLINK_FOLLOW;
    }
    if (result || (result = find_place(&made, DIRECTORY_ARGUMENT(call, 2), PATH_ARGUMENT(call, 3), WANT_OBJECT)))
        return result;
    if (!made.exists && (result = check_entry_change(&made)))
        return result;
    return WITH_ACCESS_TO(&made, &old, false,
                          kernel(__NR_linkat, old.directory, old.outside, made.directory, made.outside, flags));
}

long call_unlinkat(struct call *call) {
    struct place place;
    struct file_key key;
    long result = find_place(&place, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), 0);
    if (result || (result = check_removal(&place)))
        return result;
    bool is_last = note_last_name(&place, &key);
    result = WITH_ACCESS(&place, false, kernel(__NR_unlinkat, place.directory, place.outside, call->arguments[2]));
    if (!result && is_last)
        forget_file(key);
    return result;
}

long call_renameat2(struct call *call) {
    struct place old, new;
    struct file_key key;
    unsigned flags = (unsigned)call->arguments[4];
    long result = find_place(&old, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), 0);
    if (result || (result = find_place(&new, DIRECTORY_ARGUMENT(call, 2), PATH_ARGUMENT(call, 3), WANT_OBJECT)))
        return result;
    if ((result = check_removal(&old)) || (result = new.exists ? check_removal(&new) : check_entry_change(&new)))
        return result;
    bool is_last = new.exists && !(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) && note_last_name(&new, &key);
    if (is_last) {
        /* A name that is renamed to another of the same file: nothing happens. */
        struct file_key moved;
        is_last = !file_key_at(old.directory, old.outside, AT_SYMLINK_NOFOLLOW, &moved) && moved.inode != key.inode;
    }
    result = WITH_ACCESS_TO(&old, &new, true, kernel(__NR_renameat2, old.directory, old.outside, new.directory,
                                                      new.outside, flags));
    if (!result && is_last)
        forget_file(key);
    return result;
}
