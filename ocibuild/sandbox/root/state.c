#include "state.h"

#include <linux/mman.h>

struct state *state;
const char *state_path;

void open_state(const char *path) {
    long descriptor = kernel(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (failed(descriptor))
        give_up(126, "cannot open the run's state: ", path, NULL);
    struct state first;
    long got = kernel(__NR_pread64, descriptor, &first, offsetof(struct state, root), 0);
    if (got < (long)offsetof(struct state, root) || memcmp(first.magic, STATE_MAGIC, sizeof STATE_MAGIC) != 0)
        give_up(126, "not a state of this version: ", path, NULL);
    long mapped = kernel(__NR_mmap, 0, first.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (failed(mapped))
        give_up(126, "cannot map the run's state: ", path, NULL);
    kernel(__NR_close, descriptor);
    state = (struct state *)mapped;
    state_path = path;
}

const char *binding_inside(const struct binding *binding) {
    return (const char *)state + state->texts_at + binding->inside;
}

const char *binding_outside(const struct binding *binding) {
    return (const char *)state + state->texts_at + binding->outside;
}

bool tell_once(enum told what) {
    return !(__atomic_fetch_or(&state->told, (uint32_t)what, __ATOMIC_RELAXED) & (uint32_t)what);
}
