/* What is particular to aarch64: how a system call is made, where its arguments stand, and how a program is entered. */
#ifndef OCIBUILD_ROOT_ARCH_H
#define OCIBUILD_ROOT_ARCH_H

#include <asm/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <linux/audit.h>
#include <linux/elf-em.h>

#define ARCH_AUDIT AUDIT_ARCH_AARCH64
#define ARCH_ELF_MACHINE EM_AARCH64
#define ARCH_NAME "aarch64"

/* Numbers of system calls that the kernel's headers of Debian 12 do not have yet. */
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
/* Calls behind this one did not exist when this was written; they are answered with ENOSYS. */
#define ARCH_LAST_KNOWN_CALL 469

/* The number is in x8, the arguments are in x0 to x5, the result is in x0. */

static inline void context_get_arguments(const struct ucontext *context, unsigned long arguments[6]) {
    for (unsigned at = 0; at < 6; at++)
        arguments[at] = context->uc_mcontext.regs[at];
}

static inline void context_set_arguments(struct ucontext *context, const unsigned long arguments[6]) {
    for (unsigned at = 0; at < 6; at++)
        context->uc_mcontext.regs[at] = arguments[at];
}

static inline void context_set_result(struct ucontext *context, long result) {
    context->uc_mcontext.regs[0] = (unsigned long)result;
}

static inline void context_set_number(struct ucontext *context, long number) {
    context->uc_mcontext.regs[8] = (unsigned long)number;
}

static inline unsigned long context_instruction(const struct ucontext *context) {
    return context->uc_mcontext.pc;
}

static inline void context_set_instruction(struct ucontext *context, unsigned long address) {
    context->uc_mcontext.pc = address;
}

/* A register that a system call keeps (x19); the gate (trap.c) borrows it. */
static inline unsigned long context_kept_register(const struct ucontext *context) {
    return context->uc_mcontext.regs[19];
}

static inline void context_set_kept_register(struct ucontext *context, unsigned long value) {
    context->uc_mcontext.regs[19] = value;
}

static inline void *copy_memory(void *to, const void *from, unsigned long size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    while (size--)
        *target++ = *source++;
    return to;
}

static inline void *fill_memory(void *to, int byte, unsigned long size) {
    unsigned char *target = to;
    while (size--)
        *target++ = (unsigned char)byte;
    return to;
}

/*
 * The code that C cannot express. "kernel_call_return" and "gate_call_return" are the two addresses that the filter knows:
 * the kernel reports a system call with the address of the instruction after it.
 */
#define ARCH_CODE \
    __asm__( \
        ".text\n" \
        ".globl _start, kernel_call, kernel_call_return, gate_call, gate_call_return\n" \
        ".globl call_on_stack, enter_program\n" \
        "_start:\n" \
        "    mov x29, #0\n" \
        "    mov x30, #0\n" \
        "    mov x0, sp\n" \
        "    bl start\n" \
        "    brk #1\n" \
        "kernel_call:\n" \
        "    mov x8, x0\n" \
        "    mov x0, x1\n" \
        "    mov x1, x2\n" \
        "    mov x2, x3\n" \
        "    mov x3, x4\n" \
        "    mov x4, x5\n" \
        "    mov x5, x6\n" \
        "    svc #0\n" \
        "kernel_call_return:\n" \
        "    ret\n" \
        "gate_call:\n" \
        "    svc #0\n" \
        "gate_call_return:\n" \
        "    str x0, [x19]\n" \
        "    mov x8, #999\n" /* GATE_COMPLETION */ \
        "    svc #0\n" \
        "    brk #1\n" \
        "call_on_stack:\n" \
        "    stp x29, x30, [sp, #-16]!\n" \
        "    mov x29, sp\n" \
        "    mov sp, x0\n" \
        "    mov x0, x2\n" \
        "    blr x1\n" \
        "    mov sp, x29\n" \
        "    ldp x29, x30, [sp], #16\n" \
        "    ret\n" \
        "enter_program:\n" /* as the ABI has it: no function to call at exit (x0) */ \
        "    mov sp, x0\n" \
        "    mov x16, x1\n" \
        "    mov x0, #0\n" \
        "    mov x29, #0\n" \
        "    mov x30, #0\n" \
        "    br x16\n")

/* The kernel returns from signals by code of its own (the vDSO). */
#define ARCH_NEEDS_RESTORER 0

#endif
