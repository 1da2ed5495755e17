/* Mapping ELF files as the kernel would do it (its fs/binfmt_elf.c; gABI chapter 5). */
#include "execute.h"

#include <linux/elf.h>
#include <linux/mman.h>

enum { HEADER_LIMIT = 64 };

#define PAGE_START(address) ((address) & ~(page_size - 1))
#define PAGE_END(address) PAGE_START((address) + page_size - 1)

struct program_headers {
    Elf64_Ehdr file;
    Elf64_Phdr all[HEADER_LIMIT];
};

static void name_foreign(const char *name, unsigned machine) {
    if (machine == EM_386)
        complain(name, ": a program for i386, which cannot run in this sandbox", NULL);
    else if (machine == EM_X86_64)
        complain(name, ": a program for x32, which cannot run in this sandbox", NULL);
}

static long read_headers(int descriptor, const char *name, struct program_headers *headers) {
    Elf64_Ehdr *file = &headers->file;
    long got = kernel(__NR_pread64, descriptor, file, sizeof *file, 0);
    if (failed(got))
        return got;
    if (got < (long)sizeof *file || memcmp(file->e_ident, ELFMAG, SELFMAG) != 0)
        return -ENOEXEC;
    if (file->e_ident[EI_CLASS] != ELFCLASS64 || file->e_machine != ARCH_ELF_MACHINE) {
        name_foreign(name, file->e_machine);
        return -ENOEXEC;
    }
    bool is_program = file->e_type == ET_EXEC || file->e_type == ET_DYN;
    if (!is_program || file->e_phentsize != sizeof(Elf64_Phdr) || !file->e_phnum || file->e_phnum > HEADER_LIMIT)
        return -ENOEXEC;
    long size = (long)(file->e_phnum * sizeof(Elf64_Phdr));
    return kernel(__NR_pread64, descriptor, headers->all, size, file->e_phoff) == size ? 0 : -ENOEXEC;
}

long read_program_file(int descriptor, const char *name, struct program_file *program) {
    struct program_headers headers;
    program->has_interpreter = false;
    long result = read_headers(descriptor, name, &headers);
    for (unsigned at = 0; !result && at < headers.file.e_phnum; at++) {
        const Elf64_Phdr *header = &headers.all[at];
        if (header->p_type != PT_INTERP || program->has_interpreter)
            continue;
        if (header->p_filesz < 2 || header->p_filesz > PATH_SIZE)
            return -ENOEXEC;
        long got = kernel(__NR_pread64, descriptor, program->interpreter, header->p_filesz, header->p_offset);
        if (got != (long)header->p_filesz || program->interpreter[got - 1])
            return -ENOEXEC;
        program->has_interpreter = true;
    }
    return result;
}

static int protection_of(const Elf64_Phdr *header) {
    return (header->p_flags & PF_R ? PROT_READ : 0) | (header->p_flags & PF_W ? PROT_WRITE : 0) |
           (header->p_flags & PF_X ? PROT_EXEC : 0);
}

/* Room for all segments of a file that may lie anywhere; the difference to the addresses in the file. */
static unsigned long find_base(const struct program_headers *headers, const char *name) {
    unsigned long lowest = ~0UL, highest = 0, alignment = page_size;
    for (unsigned at = 0; at < headers->file.e_phnum; at++) {
        const Elf64_Phdr *header = &headers->all[at];
        if (header->p_type != PT_LOAD)
            continue;
        if (header->p_vaddr < lowest)
            lowest = PAGE_START(header->p_vaddr);
        if (header->p_vaddr + header->p_memsz > highest)
            highest = PAGE_END(header->p_vaddr + header->p_memsz);
        if (header->p_align > alignment && !(header->p_align & (header->p_align - 1)))
            alignment = header->p_align;
    }
    if (lowest >= highest)
        give_up(126, name, ": has nothing to load", NULL);
    if (headers->file.e_type == ET_EXEC)
        return 0;
    unsigned long size = highest - lowest;
    long room = kernel(__NR_mmap, 0, size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (failed(room))
        give_up(126, name, ": no memory to load it", NULL);
    unsigned long start = ((unsigned long)room + alignment - 1) & ~(alignment - 1);
    unsigned long end = (unsigned long)room + size + alignment;
    if (start > (unsigned long)room)
        kernel(__NR_munmap, room, start - (unsigned long)room);
    if (end > start + size)
        kernel(__NR_munmap, start + size, end - start - size);
    return start - lowest;
}

static void check_mapping(long result, const char *name) {
    if (result == -EPERM || result == -EACCES)
        give_up(126, name, ": its code may not be mapped; the root lies on a file system mounted noexec", NULL);
    if (failed(result))
        give_up(126, name, ": cannot be mapped", NULL);
}

static void map_segment(int descriptor, const Elf64_Phdr *header, unsigned long base, const char *name) {
    int protection = protection_of(header);
    unsigned long start = base + header->p_vaddr, before = start - PAGE_START(start);
    unsigned long file_end = start + header->p_filesz, end = start + header->p_memsz;
    unsigned long mapped_end = PAGE_START(start);
    if (header->p_filesz) {
        check_mapping(kernel(__NR_mmap, start - before, header->p_filesz + before, protection, MAP_PRIVATE | MAP_FIXED,
                             descriptor, header->p_offset - before),
                      name);
        mapped_end = PAGE_END(file_end);
    }
    if (end <= file_end)
        return;
    /* What the file does not hold is zero: all the rest of its last page (ld.so counts on it), and whole pages after. */
    if (header->p_filesz && (protection & PROT_WRITE))
        memset((void *)file_end, 0, mapped_end - file_end);
    if (end > mapped_end)
        check_mapping(kernel(__NR_mmap, mapped_end, PAGE_END(end) - mapped_end, protection,
                             MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0),
                      name);
}

struct mapped_program map_program(int descriptor, const char *name) {
    struct program_headers headers;
    if (read_headers(descriptor, name, &headers))
        give_up(126, name, ": not a program for " ARCH_NAME, NULL);
    unsigned long base = find_base(&headers, name), table = headers.file.e_phoff;
    struct mapped_program mapped = {
        .base = base, .entry = base + headers.file.e_entry, .header_count = headers.file.e_phnum};
    for (unsigned at = 0; at < headers.file.e_phnum; at++) {
        const Elf64_Phdr *header = &headers.all[at];
        if (header->p_type == PT_GNU_STACK)
            mapped.wants_executable_stack = header->p_flags & PF_X;
        if (header->p_type != PT_LOAD)
            continue;
        map_segment(descriptor, header, base, name);
        if (table >= header->p_offset && table < header->p_offset + header->p_filesz)
            mapped.headers = base + header->p_vaddr + (table - header->p_offset);
    }
    return mapped;
}
