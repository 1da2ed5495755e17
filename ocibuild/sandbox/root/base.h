/*
 * What every file of ocibuild-root needs. The program is freestanding: there is no C library below it, because it lives
 * inside the processes of other programs, whose own library must not notice it. Only the kernel's headers are used.
 *
 * Two words are used everywhere: an *inside* path is one as the program in the root file system sees it ("/etc/passwd");
 * an *outside* path is the same file as this machine's kernel finds it ("/var/tmp/root/etc/passwd").
 */
#ifndef OCIBUILD_ROOT_BASE_H
#define OCIBUILD_ROOT_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#if defined(__x86_64__)
#include "arch_x86_64.h"
#elif defined(__aarch64__)
#include "arch_aarch64.h"
#else
#error "ocibuild-root knows x86-64 and aarch64"
#endif

/* Everything is in this one program: no table of addresses is needed to find it. */
#pragma GCC visibility push(hidden)

/* The kernel's own limit (PATH_MAX), the ending zero included. */
enum { PATH_SIZE = 4096 };

/* The kernel's page, in bytes: 4 KiB, but up to 64 KiB on aarch64 (AT_PAGESZ). */
extern unsigned long page_size;

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

/*
 * The only place from which our own system calls are made: the filter lets pass what comes from here, and traps the same
 * call from anywhere else. The result is the kernel's: -errno on failure.
 */
long kernel_call(long number, long a, long b, long c, long d, long e, long f);

/* kernel(__NR_close, descriptor): arguments that are not given are 0. */
#define kernel(...) KERNEL_FILLED(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define KERNEL_FILLED(number, a, b, c, d, e, f, ...) \
    kernel_call((number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* True of what the kernel returns where a call failed. Addresses are results too, so "negative" is not enough. */
static inline bool failed(long result) {
    return (unsigned long)result >= -4095UL;
}

size_t string_length(const char *string);
bool strings_are_equal(const char *one, const char *other);
bool starts_with(const char *string, const char *start);
/* Whether the path is the folder or lies below it. The folder has no slash at its end; "" is "/". */
bool is_below(const char *path, const char *folder);
/* The part after the last slash. */
const char *last_component(const char *path);
/* -ENAMETOOLONG where it does not fit into the size; nothing is copied then. */
long copy_string(char *to, size_t size, const char *from);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *one, const void *other, size_t size);

/* A text that grows in a buffer of fixed size. Once something did not fit, `is_cut` stays set. */
struct text {
    char *bytes;
    size_t size;
    size_t length;
    bool is_cut;
};

struct text text_in(char *bytes, size_t size);
void add(struct text *text, const char *string);
void add_bytes(struct text *text, const char *bytes, size_t count);
void add_decimal(struct text *text, unsigned long number);
void add_hexadecimal(struct text *text, unsigned long number);

/* Reads a number and moves the cursor behind it. */
unsigned long read_decimal(const char **cursor);
unsigned long read_hexadecimal(const char **cursor);

/* "/proc/self/fd/N" */
enum { DESCRIPTOR_PATH_SIZE = 32 };
void descriptor_path(char *to, int descriptor);

/* One line on standard error, made of the strings up to the first NULL. */
void complain(const char *first, ...);
/* The same, and the process ends with the exit code. */
__attribute__((noreturn)) void give_up(int exit_code, const char *first, ...);

/*
 * The program's memory. A system call answers EFAULT to a bad address; reading it here would end the process, so what is
 * going to be read is tried first (with a call that reads it and does nothing).
 */
bool is_readable(const void *address, size_t size);
/* The string's length, -EFAULT or -ENAMETOOLONG. */
long fetch_string(char *to, size_t size, const char *from);

/* Locks that a killed process cannot keep: the word holds the thread's number, and who waits takes it from a dead one. */
void lock(uint32_t *word);
void unlock(uint32_t *word);
int own_thread(void);

#endif
