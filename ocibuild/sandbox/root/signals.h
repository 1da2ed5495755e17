/* Signals, as far as they touch SIGSYS. */
#ifndef OCIBUILD_ROOT_SIGNALS_H
#define OCIBUILD_ROOT_SIGNALS_H

#include "base.h"

/* What the kernel tells a handler of SIGSYS (siginfo_t, its _sigsys part). */
struct trap_information {
    int signal;
    int error;
    int code;
    int padding;
    void *instruction;
    int number;
    unsigned architecture;
};
enum { TRAP_BY_FILTER = 1 /* SYS_SECCOMP */ };

/* The kernel's own form of a signal's action, which is not the C library's. */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

/* Makes the function the kernel's handler of SIGSYS, with all signals blocked while it runs. */
void set_kernel_handler(void *handler);
/* A SIGSYS that is not of our filter: the program's own handler has it, which was kept aside. */
void deliver_sigsys(int signal, struct trap_information *information, struct ucontext *context);

/* Whether the program ignores SIGSYS, which the next program in this process inherits. */
bool program_ignores_sigsys(void);
void set_program_ignores_sigsys(bool ignores);
bool program_catches_sigsys(void);

uint64_t context_mask(const struct ucontext *context);
/* The mask without SIGSYS: a thread that blocks it would be killed by its next trap. */
uint64_t harmless_mask(uint64_t mask);

#endif
