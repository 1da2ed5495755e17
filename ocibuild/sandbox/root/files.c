/* System calls on files. Calls with a path of their own for everything (open, stat, ...) come through legacy.c. */
#include "access.h"
#include "calls.h"
#include "creation.h"
#include "path.h"
#include "proc.h"
#include "process.h"
#include "signals.h"
#include "state.h"
#include "trap.h"

#include <asm/statfs.h>
#include <linux/fs.h>
#include <linux/openat2.h>

#ifndef O_TMPFILE
#define O_TMPFILE (__O_TMPFILE | O_DIRECTORY)
#endif

#define PATH_ARGUMENT(call, number) ((const char *)(call)->arguments[number])
#define DIRECTORY_ARGUMENT(call, number) ((int)(call)->arguments[number])

/* "" or NULL with AT_EMPTY_PATH: the call is about the descriptor itself. */
static bool is_empty_path(const char *name, int flags) {
    return (flags & AT_EMPTY_PATH) && (!name || (is_readable(name, 1) && !*name));
}

static unsigned follow_unless(bool is_not_followed) {
    return is_not_followed ? 0 : FOLLOW_LAST;
}

/* The place of a descriptor, whose own path is empty. */
static long find_descriptor(struct place *place, int descriptor) {
    *place = (struct place){.directory = descriptor, .exists = true};
    long result = kernel(__NR_newfstatat, descriptor, "", &place->object, AT_EMPTY_PATH);
    place->zone = zone_of_descriptor(&place->object);
    return result;
}

/* --- Owners ------------------------------------------------------------------------------------------------------- */

static void record_named_creation(const struct place *place) {
    record_creation(place, place->directory, place->outside, AT_SYMLINK_NOFOLLOW);
}

/* Notes what must be forgotten if the name that is about to go is the file's last. */
static bool note_last_name(const struct place *place, struct file_key *key) {
    struct stat object;
    if (place->zone != IN_ROOT || (owners_are_empty() && attributes_are_empty()))
        return false;
    if (kernel(__NR_newfstatat, place->directory, place->outside, &object, AT_SYMLINK_NOFOLLOW))
        return false;
    if (!S_ISDIR(object.st_mode) && object.st_nlink > 1)
        return false;
    return !file_key_at(place->directory, place->outside, AT_SYMLINK_NOFOLLOW, key);
}

/* --- Opening ------------------------------------------------------------------------------------------------------ */

static unsigned access_of_open(unsigned flags) {
    unsigned access = 0;
    if (flags & O_PATH)
        return 0;
    if ((flags & O_ACCMODE) != O_WRONLY)
        access |= ACCESS_READ;
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
        access |= ACCESS_WRITE;
    return access;
}

static long check_open(const struct place *place, unsigned flags) {
    bool is_created = (flags & O_CREAT) && !place->exists;
    if (is_created || (flags & O_TMPFILE) == O_TMPFILE)
        return is_created ? check_entry_change(place) : check_object(place, ACCESS_WRITE | ACCESS_SEARCH);
    if (!place->exists)
        return 0; /* the kernel says ENOENT */
    if (S_ISLNK(place->object.st_mode))
        return 0; /* O_NOFOLLOW: the kernel says ELOOP, or O_PATH */
    long result = check_object(place, access_of_open(flags));
    return !result && (flags & O_NOATIME) ? check_owner(place) : result;
}

/*
 * Opening a pipe waits for its other end, which may take for ever: it is done through the gate. The path cannot wait in our
 * memory, so it is opened for itself first.
 */
static long open_pipe(struct call *call, const struct place *place, unsigned flags) {
    long itself = kernel(__NR_openat, place->directory, place->outside, O_PATH | O_CLOEXEC);
    if (failed(itself))
        return itself;
    struct gate *gate = take_gate(call);
    gate->descriptor = (int)itself;
    descriptor_path((char *)gate->space, (int)itself);
    unsigned long arguments[6] = {(unsigned long)AT_FDCWD, (unsigned long)gate->space, flags & ~(unsigned)O_NOFOLLOW};
    call->number = __NR_openat;
    return go_through(call, gate, arguments);
}

static long open_at_place(const struct place *place, const struct open_how *how, unsigned flags) {
    if (how->resolve)
        return WITH_ACCESS(place, true, kernel(__NR_openat2, place->directory, place->outside, how, sizeof *how));
    return WITH_ACCESS(place, true, kernel(__NR_openat, place->directory, place->outside, flags, how->mode));
}

/* Creates the file, or opens it where another process was quicker. */
static long create_and_open(const struct place *place, const struct open_how *how) {
    unsigned flags = (unsigned)how->flags;
    for (;;) {
        long descriptor = WITH_ACCESS(
            place, false, kernel(__NR_openat, place->directory, place->outside, flags | O_EXCL, how->mode));
        if (!failed(descriptor)) {
            record_creation(place, (int)descriptor, "", AT_EMPTY_PATH);
            return descriptor;
        }
        if (descriptor != -EEXIST || (flags & O_EXCL))
            return descriptor;
        descriptor = open_at_place(place, how, flags & ~(unsigned)O_CREAT);
        if (descriptor != -ENOENT)
            return descriptor;
    }
}

static long open_file(struct call *call, int directory, const char *name, const struct open_how *how) {
    struct place place;
    unsigned flags = (unsigned)how->flags;
    bool is_temporary = (flags & O_TMPFILE) == O_TMPFILE;
    bool is_exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) && !is_temporary;
    unsigned wanted = follow_unless((flags & O_NOFOLLOW) || is_exclusive) | WANT_OBJECT;
    if (how->resolve & RESOLVE_NO_SYMLINKS)
        wanted |= REFUSE_LINKS;
    long result = find_place(&place, directory, name, wanted);
    if (result || (result = check_open(&place, flags)))
        return result;
    if (place.zone == IN_PROC) {
        result = open_proc_view(&place, (int)flags, context_mask(call->context));
        if (result != -ENOSYS)
            return result;
    }
    bool waits = place.exists && S_ISFIFO(place.object.st_mode) && !(flags & (O_NONBLOCK | O_PATH));
    if (waits && !is_exclusive)
        return open_pipe(call, &place, flags & ~(unsigned)O_CREAT);
    if ((flags & O_CREAT) && !place.exists && !is_temporary && !place.has_trailing_slash)
        return create_and_open(&place, how);
    result = open_at_place(&place, how, flags);
    if (is_temporary && !failed(result)) {
        /* Its folder is the place itself. */
        char inner[PATH_SIZE];
        struct place made = place;
        if (!absolute_outside(&place, inner)) {
            struct text text = text_in(made.outside, sizeof made.outside);
            add(&text, inner);
            add(&text, "/new");
            made.directory = AT_FDCWD;
            record_creation(&made, (int)result, "", AT_EMPTY_PATH);
        }
    }
    return result;
}

long call_openat(struct call *call) {
    struct open_how how = {.flags = (unsigned)call->arguments[2], .mode = call->arguments[3]};
    return open_file(call, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), &how);
}

long call_openat2(struct call *call) {
    const struct open_how *wanted = (const struct open_how *)call->arguments[2];
    if (call->arguments[3] < sizeof *wanted)
        return -EINVAL;
    if (!is_readable(wanted, sizeof *wanted))
        return -EFAULT;
    struct open_how how = *wanted;
    /* In these scopes nothing above the folder can be reached: the kernel does it right. */
    if (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) {
        long descriptor = make_call(call);
        if (!failed(descriptor) && (how.flags & O_CREAT)) {
            struct place made;
            if (!find_place(&made, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), 0))
                record_creation(&made, (int)descriptor, "", AT_EMPTY_PATH);
        }
        return descriptor;
    }
    return open_file(call, DIRECTORY_ARGUMENT(call, 0), PATH_ARGUMENT(call, 1), &how);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

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

/* --- Making and removing names ------------------------------------------------------------------------------------ */

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
        if (old.zone != IN_PROC)
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

/* --- Changing ----------------------------------------------------------------------------------------------------- */

/* Who may not set the group's bit for a file of another group loses it. */
static unsigned allowed_mode(const struct place *place, unsigned mode) {
    const struct identity *identity = &current_process()->identity;
    if (!(mode & S_ISGID) || has_capability(identity, CAP_FSETID) || place->zone != IN_ROOT)
        return mode;
    int flags = place->outside[0] ? 0 : AT_EMPTY_PATH;
    struct owner owner = owner_seen(place->zone, place->directory, place->outside, flags, &place->object);
    return is_in_group(identity, owner.gid) ? mode : mode & ~(unsigned)S_ISGID;
}

long call_fchmod(struct call *call) {
    struct place place;
    long result = find_descriptor(&place, (int)call->arguments[0]);
    if (result)
        return result;
    const struct identity *identity = &current_process()->identity;
    struct owner owner = owner_seen(IN_ROOT, place.directory, "", AT_EMPTY_PATH, &place.object);
    if (!has_capability(identity, CAP_FOWNER) && identity->file_uid != owner.uid)
        return -EPERM;
    return kernel(__NR_fchmod, place.directory, allowed_mode(&place, (unsigned)call->arguments[1]));
}

/* fchmodat2 has flags, fchmodat has none. */
long call_fchmodat(struct call *call) {
    struct place place;
    int flags = call->number == __NR_fchmodat2 ? (int)call->arguments[3] : 0;
    if (is_empty_path(PATH_ARGUMENT(call, 1), flags)) {
        char path[DESCRIPTOR_PATH_SIZE];
        descriptor_path(path, DIRECTORY_ARGUMENT(call, 0));
        long result = find_descriptor(&place, DIRECTORY_ARGUMENT(call, 0));
        return result ? result : kernel(__NR_fchmodat, AT_FDCWD, path, call->arguments[2]);
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

/* --- Where the process is ----------------------------------------------------------------------------------------- */

static long check_folder(const struct place *place) {
    if (!place->exists)
        return -ENOENT;
    if (!S_ISDIR(place->object.st_mode))
        return -ENOTDIR;
    return check_object(place, ACCESS_SEARCH);
}

long call_chdir(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST | WANT_OBJECT);
    if (result || (result = check_folder(&place)))
        return result;
    return WITH_ACCESS(&place, true, kernel(__NR_chdir, place.outside));
}

long call_fchdir(struct call *call) {
    struct place place;
    long result = make_call(call);
    if (result != -EACCES)
        return result;
    place = (struct place){.directory = AT_FDCWD};
    if (descriptor_outside((int)call->arguments[0], place.outside))
        return result;
    return WITH_ACCESS(&place, true, kernel(__NR_fchdir, call->arguments[0]));
}

long call_getcwd(struct call *call) {
    char outside[PATH_SIZE], inside[PATH_SIZE];
    char *to = (char *)call->arguments[0];
    size_t size = call->arguments[1];
    long result = kernel(__NR_getcwd, outside, sizeof outside);
    if (failed(result))
        return result;
    if (!inside_of(outside, inside)) {
        struct text text = text_in(inside, sizeof inside);
        add(&text, "(unreachable)");
        add(&text, outside);
    }
    size_t length = string_length(inside) + 1;
    if (length > size)
        return -ERANGE;
    if (!is_readable(to, length))
        return -EFAULT;
    memcpy(to, inside, length);
    return (long)length;
}

long call_chroot(struct call *call) {
    struct place place;
    long result = find_place(&place, AT_FDCWD, PATH_ARGUMENT(call, 0), FOLLOW_LAST | WANT_OBJECT | WANT_WALK);
    if (result || (result = check_folder(&place)))
        return result;
    struct process *process = process_to_change();
    if (!has_capability(&process->identity, CAP_SYS_CHROOT))
        return -EPERM;
    return copy_string(process->root, sizeof process->root, place.inside);
}

/* --- Others ------------------------------------------------------------------------------------------------------- */

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
