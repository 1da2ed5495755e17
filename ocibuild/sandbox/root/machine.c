/*
 * What the machine is called: steps see a name that is the same everywhere, so that nothing of this machine gets into
 * what they make. /proc/sys/kernel/hostname is a file of the run's (ocibuild/sandbox/trap.py).
 */
#include "calls.h"
#include "state.h"

#include <linux/utsname.h>

long call_uname(struct call *call) {
    long result = make_call(call);
    if (failed(result) || !state->host_name[0])
        return result;
    struct new_utsname *names = (struct new_utsname *)call->arguments[0]; /* the kernel has just written there */
    copy_string(names->nodename, sizeof names->nodename, state->host_name);
    copy_string(names->domainname, sizeof names->domainname, "(none)");
    return result;
}
