/*
 * A thread that blocks SIGSYS is killed by the kernel at its next trap, so no call that sets a mask of signals may block it.
 * The program's own action for SIGSYS is kept aside, and used for each SIGSYS that is not of our filter.
 */
#include "signals.h"

#include "calls.h"
#include "process.h"
#include "trap.h"

enum {
    SIGNAL_SET_SIZE = 8,
    KEEP_DEFAULT = 0, /* SIG_DFL */
    KEEP_IGNORED = 1, /* SIG_IGN */
};

#define SIGNAL_BIT(signal) (1UL << ((signal)-1))
/* These cannot be blocked; the kernel leaves them out of every mask. */
static const uint64_t UNBLOCKABLE = SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP);

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

extern void return_from_signal(void);

static struct kernel_action program_action;

uint64_t harmless_mask(uint64_t mask) {
    return mask & ~(SIGNAL_BIT(SIGSYS) | UNBLOCKABLE);
}

uint64_t context_mask(const struct ucontext *context) {
    uint64_t mask;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    return mask;
}

static void set_context_mask(struct ucontext *context, uint64_t mask) {
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
}

void set_kernel_handler(void *handler) {
    struct kernel_action action = {
        .handler = handler,
        .flags = SA_SIGINFO | SA_ONSTACK, /* the stack may be a goroutine's */
        .mask = ~0UL,
    };
#if ARCH_NEEDS_RESTORER
    action.flags |= SA_RESTORER;
    action.restorer = (void *)return_from_signal;
#endif
    kernel(__NR_rt_sigaction, SIGSYS, &action, 0, SIGNAL_SET_SIZE);
}

bool program_ignores_sigsys(void) {
    return program_action.handler == (void *)KEEP_IGNORED;
}

bool program_catches_sigsys(void) {
    return program_action.handler != (void *)KEEP_IGNORED && program_action.handler != (void *)KEEP_DEFAULT;
}

void set_program_ignores_sigsys(bool ignores) {
    program_action.handler = (void *)(ignores ? (unsigned long)KEEP_IGNORED : (unsigned long)KEEP_DEFAULT);
}

static void die_of_sigsys(void) {
    struct kernel_action action = {.handler = (void *)KEEP_DEFAULT};
    uint64_t none = 0;
    kernel(__NR_rt_sigaction, SIGSYS, &action, 0, SIGNAL_SET_SIZE);
    kernel(__NR_tgkill, kernel(__NR_getpid), own_thread(), SIGSYS);
    kernel(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0, SIGNAL_SET_SIZE);
    give_up(128 + SIGSYS, "killed by SIGSYS", NULL);
}

void deliver_sigsys(int signal, struct trap_information *information, struct ucontext *context) {
    struct kernel_action action = program_action;
    if (action.handler == (void *)KEEP_IGNORED)
        return;
    if (action.handler == (void *)KEEP_DEFAULT)
        die_of_sigsys();
    if (action.flags & SA_RESETHAND)
        program_action.handler = (void *)KEEP_DEFAULT;
    uint64_t mask = harmless_mask(context_mask(context) | action.mask);
    kernel(__NR_rt_sigprocmask, SIG_SETMASK, &mask, 0, SIGNAL_SET_SIZE);
    ((void (*)(int, void *, void *))action.handler)(signal, information, context);
}

static long change_own_action(const struct kernel_action *wanted, struct kernel_action *old) {
    /* The memory may be the parent's, whose action a child of vfork(2) does not change. */
    struct kernel_action before = program_action;
    if (wanted && !shares_memory_of_parent())
        program_action = *wanted;
    if (old)
        memcpy(old, &before, sizeof before);
    return 0;
}

long call_rt_sigaction(struct call *call) {
    int signal = (int)call->arguments[0];
    const struct kernel_action *wanted = (const struct kernel_action *)call->arguments[1];
    struct kernel_action *old = (struct kernel_action *)call->arguments[2];
    if (wanted && !is_readable(wanted, sizeof *wanted))
        return -EFAULT;
    if (signal == SIGSYS) {
        if (call->arguments[3] != SIGNAL_SET_SIZE)
            return -EINVAL;
        if (old && !is_readable(old, sizeof *old))
            return -EFAULT;
        return change_own_action(wanted, old);
    }
    if (!wanted)
        return make_call(call);
    struct kernel_action harmless = *wanted;
    harmless.mask = harmless_mask(harmless.mask);
    return kernel(__NR_rt_sigaction, signal, &harmless, old, call->arguments[3]);
}

/* The mask that counts is the one that the program returns to. */
long call_rt_sigprocmask(struct call *call) {
    const uint64_t *wanted = (const uint64_t *)call->arguments[1];
    uint64_t *old = (uint64_t *)call->arguments[2];
    uint64_t before = context_mask(call->context), mask = before;
    if (call->arguments[3] != SIGNAL_SET_SIZE)
        return -EINVAL;
    if (wanted) {
        if (!is_readable(wanted, sizeof *wanted))
            return -EFAULT;
        switch ((int)call->arguments[0]) {
        case SIG_BLOCK:
            mask = before | *wanted;
            break;
        case SIG_UNBLOCK:
            mask = before & ~*wanted;
            break;
        case SIG_SETMASK:
            mask = *wanted;
            break;
        default:
            return -EINVAL;
        }
    }
    if (old) {
        /* The kernel tries whether the address can be written. */
        long result = kernel(__NR_rt_sigprocmask, SIG_BLOCK, 0, old, SIGNAL_SET_SIZE);
        if (result)
            return result;
        *old = before;
    }
    set_context_mask(call->context, harmless_mask(mask));
    return 0;
}

/* The call goes through the gate with a harmless copy of the mask that an argument points to. */
static long wait_with_mask(struct call *call, unsigned argument) {
    const uint64_t *wanted = (const uint64_t *)call->arguments[argument];
    if (!is_readable(wanted, sizeof *wanted))
        return -EFAULT;
    struct gate *gate = take_gate(call);
    uint64_t *copy = (uint64_t *)gate->space;
    *copy = harmless_mask(*wanted);
    unsigned long arguments[6];
    memcpy(arguments, call->arguments, sizeof arguments);
    arguments[argument] = (unsigned long)copy;
    return go_through(call, gate, arguments);
}

/* The same where the argument points to the mask's address and size. */
static long wait_with_sized_mask(struct call *call, unsigned argument) {
    struct sized_mask {
        const uint64_t *mask;
        size_t size;
    };
    const struct sized_mask *wanted = (const struct sized_mask *)call->arguments[argument];
    if (!is_readable(wanted, sizeof *wanted) || (wanted->mask && !is_readable(wanted->mask, sizeof *wanted->mask)))
        return -EFAULT;
    struct gate *gate = take_gate(call);
    unsigned long arguments[6];
    memcpy(arguments, call->arguments, sizeof arguments);
    if (wanted->mask) {
        struct {
            struct sized_mask sized;
            uint64_t mask;
        } *copy = (void *)gate->space;
        copy->mask = harmless_mask(*wanted->mask);
        copy->sized = (struct sized_mask){&copy->mask, wanted->size};
        arguments[argument] = (unsigned long)copy;
    }
    return go_through(call, gate, arguments);
}

long call_rt_sigsuspend(struct call *call) {
    return wait_with_mask(call, 0);
}

long call_ppoll(struct call *call) {
    return wait_with_mask(call, 3);
}

long call_epoll_pwait(struct call *call) {
    return wait_with_mask(call, 4);
}

long call_pselect6(struct call *call) {
    return wait_with_sized_mask(call, 5);
}

long call_io_pgetevents(struct call *call) {
    return wait_with_sized_mask(call, 5);
}
