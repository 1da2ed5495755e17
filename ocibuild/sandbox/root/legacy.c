/*
 * Calls that newer architectures do not have: each is one of the newer calls with some arguments fixed, and becomes it.
 */
#include "calls.h"

#include <linux/time_types.h>

struct old_time {
    long seconds;
    long microseconds;
};

#define CURRENT_FOLDER ((unsigned long)AT_FDCWD)
#define ARGUMENT(number) (call->arguments[number])

static long become(struct call *call, long number, call_handler handler, unsigned long a, unsigned long b,
                   unsigned long c, unsigned long d, unsigned long e) {
    const unsigned long arguments[6] = {a, b, c, d, e};
    call->number = number;
    memcpy(call->arguments, arguments, sizeof arguments);
    return handler(call);
}

#ifdef __NR_utimes
/* utime has whole seconds, utimes and futimesat have microseconds, utimensat has nanoseconds. */
static long set_times(struct call *call, unsigned long directory, unsigned long name, const void *given,
                      bool has_microseconds) {
    struct __kernel_timespec times[2];
    const long *seconds = given;
    const struct old_time *precise = given;
    size_t size = has_microseconds ? 2 * sizeof *precise : 2 * sizeof *seconds;
    if (given && !is_readable(given, size))
        return -EFAULT;
    for (unsigned at = 0; given && at < 2; at++) {
        times[at].tv_sec = has_microseconds ? precise[at].seconds : seconds[at];
        times[at].tv_nsec = has_microseconds ? precise[at].microseconds * 1000 : 0;
        if (times[at].tv_nsec < 0 || times[at].tv_nsec >= 1000000000)
            return -EINVAL;
    }
    return become(call, __NR_utimensat, call_utimensat, directory, name, given ? (unsigned long)times : 0, 0, 0);
}
#endif

long call_legacy(struct call *call) {
    unsigned long a = ARGUMENT(0), b = ARGUMENT(1), c = ARGUMENT(2), d = ARGUMENT(3);
    switch (call->number) {
    case __NR_fstat:
        return become(call, __NR_newfstatat, call_newfstatat, a, (unsigned long)"", b, AT_EMPTY_PATH, 0);
#ifdef __NR_renameat
    case __NR_renameat:
        return become(call, __NR_renameat2, call_renameat2, a, b, c, d, 0);
#endif
#ifdef __NR_open
    case __NR_open:
        return become(call, __NR_openat, call_openat, CURRENT_FOLDER, a, b, c, 0);
    case __NR_creat:
        return become(call, __NR_openat, call_openat, CURRENT_FOLDER, a, O_CREAT | O_WRONLY | O_TRUNC, b, 0);
    case __NR_stat:
        return become(call, __NR_newfstatat, call_newfstatat, CURRENT_FOLDER, a, b, 0, 0);
    case __NR_lstat:
        return become(call, __NR_newfstatat, call_newfstatat, CURRENT_FOLDER, a, b, AT_SYMLINK_NOFOLLOW, 0);
    case __NR_access:
        return become(call, __NR_faccessat, call_faccessat, CURRENT_FOLDER, a, b, 0, 0);
    case __NR_mkdir:
        return become(call, __NR_mkdirat, call_mkdirat, CURRENT_FOLDER, a, b, 0, 0);
    case __NR_rmdir:
        return become(call, __NR_unlinkat, call_unlinkat, CURRENT_FOLDER, a, AT_REMOVEDIR, 0, 0);
    case __NR_unlink:
        return become(call, __NR_unlinkat, call_unlinkat, CURRENT_FOLDER, a, 0, 0, 0);
    case __NR_rename:
        return become(call, __NR_renameat2, call_renameat2, CURRENT_FOLDER, a, CURRENT_FOLDER, b, 0);
    case __NR_link:
        return become(call, __NR_linkat, call_linkat, CURRENT_FOLDER, a, CURRENT_FOLDER, b, 0);
    case __NR_symlink:
        return become(call, __NR_symlinkat, call_symlinkat, a, CURRENT_FOLDER, b, 0, 0);
    case __NR_readlink:
        return become(call, __NR_readlinkat, call_readlinkat, CURRENT_FOLDER, a, b, c, 0);
    case __NR_chmod:
        return become(call, __NR_fchmodat, call_fchmodat, CURRENT_FOLDER, a, b, 0, 0);
    case __NR_chown:
        return become(call, __NR_fchownat, call_fchownat, CURRENT_FOLDER, a, b, c, 0);
    case __NR_lchown:
        return become(call, __NR_fchownat, call_fchownat, CURRENT_FOLDER, a, b, c, AT_SYMLINK_NOFOLLOW);
    case __NR_mknod:
        return become(call, __NR_mknodat, call_mknodat, CURRENT_FOLDER, a, b, c, 0);
    case __NR_utime:
        return set_times(call, CURRENT_FOLDER, a, (const void *)b, false);
    case __NR_utimes:
        return set_times(call, CURRENT_FOLDER, a, (const void *)b, true);
    case __NR_futimesat:
        return set_times(call, a, b, (const void *)c, true);
#endif
    default:
        return -ENOSYS;
    }
}
