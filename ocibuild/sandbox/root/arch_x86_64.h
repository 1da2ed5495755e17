/* What is particular to x86-64: how a system call is made, where its arguments stand, and how a program is entered. */
#ifndef OCIBUILD_ROOT_ARCH_H
#define OCIBUILD_ROOT_ARCH_H

#include <asm/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <linux/audit.h>
#include <linux/elf-em.h>

#define ARCH_AUDIT AUDIT_ARCH_X86_64
#define ARCH_ELF_MACHINE EM_X86_64
#define ARCH_NAME "x86-64"

/* Numbers of system calls that the kernel's headers of Debian 12 do not have yet. */
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
/* Calls behind this one did not exist when this was written; they are answered with ENOSYS. */
#define ARCH_LAST_KNOWN_CALL 469
static inline void context_get_arguments(const struct ucontext *context, unsigned long arguments[6]) {
    const struct sigcontext *registers = &context->uc_mcontext;
    arguments[0] = registers->rdi;
    arguments[1] = registers->rsi;
    arguments[2] = registers->rdx;
    arguments[3] = registers->r10;
    arguments[4] = registers->r8;
    arguments[5] = registers->r9;
}

static inline void context_set_arguments(struct ucontext *context, const unsigned long arguments[6]) {
    struct sigcontext *registers = &context->uc_mcontext;
    registers->rdi = arguments[0];
    registers->rsi = arguments[1];
    registers->rdx = arguments[2];
    registers->r10 = arguments[3];
    registers->r8 = arguments[4];
    registers->r9 = arguments[5];
}

static inline void context_set_result(struct ucontext *context, long result) {
    context->uc_mcontext.rax = (unsigned long)result;
}

static inline void context_set_number(struct ucontext *context, long number) {
    context->uc_mcontext.rax = (unsigned long)number;
}

static inline unsigned long context_instruction(const struct ucontext *context) {
    return context->uc_mcontext.rip;
}

static inline void context_set_instruction(struct ucontext *context, unsigned long address) {
    context->uc_mcontext.rip = address;
}

/* A register that a system call keeps; the gate (trap.c) borrows it. */
static inline unsigned long context_kept_register(const struct ucontext *context) {
    return context->uc_mcontext.rbx;
}

static inline void context_set_kept_register(struct ucontext *context, unsigned long value) {
    context->uc_mcontext.rbx = value;
}

/* "rep movsb" and "rep stosb" are as fast as anything for the sizes here, and need no vector registers. */
static inline void *copy_memory(void *to, const void *from, unsigned long size) {
    void *target = to;
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(from), "+c"(size) : : "memory");
    return to;
}

static inline void *fill_memory(void *to, int byte, unsigned long size) {
    void *target = to;
    __asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(byte) : "memory");
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
        ".globl call_on_stack, enter_program, return_from_signal\n" \
        "_start:\n" \
        "    xor %ebp, %ebp\n" \
        "    mov %rsp, %rdi\n" \
        "    and $-16, %rsp\n" \
        "    call start\n" \
        "    hlt\n" \
        "kernel_call:\n" \
        "    mov %rdi, %rax\n" \
        "    mov %rsi, %rdi\n" \
        "    mov %rdx, %rsi\n" \
        "    mov %rcx, %rdx\n" \
        "    mov %r8, %r10\n" \
        "    mov %r9, %r8\n" \
        "    mov 8(%rsp), %r9\n" \
        "    syscall\n" \
        "kernel_call_return:\n" \
        "    ret\n" \
        "gate_call:\n" \
        "    syscall\n" \
        "gate_call_return:\n" \
        "    mov %rax, (%rbx)\n" \
        "    mov $999, %eax\n" /* GATE_COMPLETION */ \
        "    syscall\n" \
        "    hlt\n" \
        "call_on_stack:\n" \
        "    push %rbp\n" \
        "    mov %rsp, %rbp\n" \
        "    mov %rdi, %rsp\n" \
        "    mov %rdx, %rdi\n" \
        "    call *%rsi\n" \
        "    mov %rbp, %rsp\n" \
        "    pop %rbp\n" \
        "    ret\n" \
        "enter_program:\n" /* as the ABI has it: no function to call at exit (rdx), everything else cleared */ \
        "    mov %rdi, %rsp\n" \
        "    mov %rsi, %rax\n" \
        "    xor %edx, %edx\n" \
        "    xor %ebp, %ebp\n" \
        "    xor %ebx, %ebx\n" \
        "    xor %ecx, %ecx\n" \
        "    xor %edi, %edi\n" \
        "    xor %esi, %esi\n" \
        "    xor %r8d, %r8d\n" \
        "    xor %r9d, %r9d\n" \
        "    jmp *%rax\n" \
        "return_from_signal:\n" \
        "    mov $15, %eax\n" /* rt_sigreturn */ \
        "    syscall\n" \
        "    hlt\n")

#define ARCH_NEEDS_RESTORER 1

#endif
