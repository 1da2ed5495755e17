/* System calls that open files. */
#include "access.h"
#include "arguments.h"
#include "creation.h"
#include "proc.h"
#include "signals.h"
#include "trap.h"

#include <linux/openat2.h>

#ifndef O_TMPFILE
#define O_TMPFILE (__O_TMPFILE | O_DIRECTORY)
#endif

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
    if (place->exists && (flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
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
