/* How a trapped call reaches its handler and how the program goes on. */
#ifndef OCIBUILD_ROOT_TRAP_H
#define OCIBUILD_ROOT_TRAP_H

#include "base.h"
#include "calls.h"

/* What the filter gives with a trap (siginfo's si_errno), so that ours is told from every other SIGSYS. */
enum { TRAP_MARK = 0x0cb1 };

/* Installs the handler in a program that has just begun. */
void install_trap_handler(void);

/*
 * For a child of vfork(2) that is about to execute a program: its stack here is memory of its parent, and is given free by
 * the kernel at the moment when the memory is let go (set_tid_address(2), "clear_child_tid"). `memory` was mapped for the
 * call and is unmapped when the stack is used again.
 */
void leave_stack_to_kernel(void *memory, size_t size);
/* The program could not be executed after all. */
void keep_stack(void);

/*
 * A call that may wait for long. It is not made inside the handler, where all signals are blocked, but by the program's own
 * thread after the handler has returned, from code of ours (the gate) that the filter lets pass: so signals, restarts,
 * time limits and cancellation are the kernel's business, as ever. After it, the gate traps once more to finish the call.
 */
enum { GATE_SPACE_SIZE = 320, GATE_COMPLETION = 999 };

struct gate {
    long result; /* stored by the gate's code: must stay first */
    uint32_t owner;
    int descriptor; /* closed when the call has ended; or -1 */
    unsigned long return_address;
    unsigned long kept_register;
    unsigned long arguments[6]; /* the program's own */
    long (*finish)(struct gate *gate, long result); /* what the program sees; or NULL */
    unsigned char space[GATE_SPACE_SIZE] __attribute__((aligned(8))); /* for arguments that replace the program's */
};

/* A gate for the call, with its own arguments; never NULL. */
struct gate *take_gate(const struct call *call);
/* A gate that is not needed after all. */
void give_up_gate(struct gate *gate);
/* Makes the program go through the gate with these arguments. The result is not looked at. */
long go_through(struct call *call, struct gate *gate, const unsigned long arguments[6]);

#endif
