"""Signals: no mask keeps the trap away, waiting calls wait and are interrupted as ever, and SIGSYS stays the program's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.trap.conftest import Trap

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]

Inside = Callable[[Path], str]

# Each way to block all signals, SIGSYS among them; afterwards a call with a path must still work.
_MASKS = r"""
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static volatile int caught;
static void look(int number) { struct stat s; caught += number == SIGALRM && stat("/etc/passwd", &s) == 0; }
static void in_time(void) { alarm(0); struct timespec t = {0}; (void)t; alarm(1); }
int main(void) {
    struct stat s;
    sigset_t all, none, old;
    sigfillset(&all); sigemptyset(&none);
    struct sigaction action = {.sa_handler = look, .sa_mask = all};
    assert(!sigaction(SIGALRM, &action, NULL));
    sigset_t but_alarm = all;
    sigdelset(&but_alarm, SIGALRM);
    assert(!sigprocmask(SIG_SETMASK, &all, &old) && !sigismember(&old, SIGALRM));
    assert(!stat("/etc/passwd", &s));
    assert(!sigprocmask(SIG_BLOCK, NULL, &old) && sigismember(&old, SIGALRM) && sigismember(&old, SIGTERM));
    struct timespec soon = {0, 1000000}, late = {30, 0};
    struct pollfd nothing = {.fd = -1};
    int waiting = epoll_create1(0);
    struct epoll_event event;
    assert(ppoll(&nothing, 1, &soon, &all) == 0);
    in_time(); assert(ppoll(&nothing, 1, &late, &but_alarm) == -1 && errno == EINTR && caught == 1);
    in_time(); assert(pselect(0, NULL, NULL, NULL, &late, &but_alarm) == -1 && errno == EINTR && caught == 2);
    in_time(); assert(epoll_pwait(waiting, &event, 1, 30000, &but_alarm) == -1 && errno == EINTR && caught == 3);
    in_time(); assert(syscall(441, waiting, &event, 1, &late, &but_alarm, 8) == -1 && errno == EINTR && caught == 4);
    in_time(); assert(sigsuspend(&but_alarm) == -1 && errno == EINTR && caught == 5);
    assert(pselect(0, NULL, NULL, NULL, &soon, &all) == 0 && epoll_pwait(waiting, &event, 1, 1, &all) == 0);
    assert(!sigprocmask(SIG_BLOCK, NULL, &old) && sigismember(&old, SIGALRM));
    pid_t child = fork();
    if (!child) _exit(stat("/etc/passwd", &s));
    int status; waitpid(child, &status, 0); assert(!status);
    child = fork();
    if (!child) { execl("/bin/grep", "grep", "-c", "SigBlk:.*fffffffe3ffbfeff", "/proc/self/status", NULL); _exit(1); }
    waitpid(child, &status, 0);
    puts("all masks");
}
"""

_OWN_SIGSYS = r"""
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int count;
static sigjmp_buf away;
static void own(int number, siginfo_t *info, void *context) {
    struct stat s;
    (void)context;
    count += number == SIGSYS && info->si_code <= 0 && stat("/etc/passwd", &s) == 0;
}
static void jump(int number) { (void)number; siglongjmp(away, 1); }
int main(int count_of_arguments, char **arguments) {
    struct stat s;
    struct sigaction action = {.sa_sigaction = own, .sa_flags = SA_SIGINFO}, old;
    if (count_of_arguments > 1) return signal(SIGSYS, SIG_DFL) == SIG_IGN ? 0 : 1;
    assert(!sigaction(SIGSYS, &action, &old) && old.sa_handler == SIG_DFL);
    assert(!sigaction(SIGSYS, NULL, &old) && old.sa_sigaction == own && (old.sa_flags & SA_SIGINFO));
    raise(SIGSYS); kill(getpid(), SIGSYS); assert(count == 2 && !stat("/etc/passwd", &s));
    signal(SIGSYS, jump);
    for (volatile int round = 0; round < 3000; round++) if (!sigsetjmp(away, 1)) raise(SIGSYS);
    assert(!stat("/etc/passwd", &s));
    signal(SIGSYS, SIG_IGN); raise(SIGSYS);
    int status;
    if (!fork()) { execl(arguments[0], arguments[0], "ignored", NULL); _exit(9); }
    wait(&status); assert(status == 0);
    signal(SIGSYS, SIG_DFL);
    if (!fork()) { raise(SIGSYS); _exit(0); }
    wait(&status); assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    puts("own");
}
"""

_JUMPS = r"""
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static sigjmp_buf away;
static void jump(int number) { (void)number; siglongjmp(away, 1); }
static void *work(void *unused) {
    struct stat s;
    for (int n = 0; n < 400; n++) { assert(!stat("/etc/passwd", &s)); close(open("/etc/group", O_RDONLY)); }
    return unused;
}
int main(void) {
    struct stat s;
    static char small[16384];
    stack_t other = {.ss_sp = small, .ss_size = sizeof small};
    assert(!sigaltstack(&other, NULL));
    struct sigaction action = {.sa_handler = jump, .sa_flags = SA_ONSTACK};
    sigaction(SIGALRM, &action, NULL);
    for (volatile int round = 0; round < 3000; round++) {
        struct itimerval soon = {.it_value = {0, 1 + round % 200}};
        if (!sigsetjmp(away, 1)) { setitimer(ITIMER_REAL, &soon, NULL); for (;;) stat("/etc/passwd", &s); }
    }
    pthread_t threads[100];
    for (int n = 0; n < 100; n++) assert(!pthread_create(&threads[n], NULL, work, NULL));
    for (int n = 0; n < 100; n++) pthread_join(threads[n], NULL);
    puts("jumped");
}
"""

_CANCEL = r"""
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static void *wait_for_ever(void *path) { open(path, O_RDONLY); return NULL; }
int main(void) {
    pthread_t thread;
    void *result;
    mkfifo("/tmp/cancelled", 0600);
    for (int round = 0; round < 20; round++) {
        pthread_create(&thread, NULL, wait_for_ever, "/tmp/cancelled");
        usleep(5000);
        pthread_cancel(thread);
        assert(!pthread_join(thread, &result) && result == PTHREAD_CANCELED);
    }
    unlink("/tmp/cancelled");
    puts("cancelled");
}
"""

_SMALL_STACKS = r"""
#include <assert.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static int in_child(void *path) { execl(path, path, NULL); return 9; }
int main(void) {
    int status;
    for (int round = 0; round < 300; round++) {
        pid_t child;
        char *arguments[] = {"true", NULL};
        posix_spawnattr_t how;
        posix_spawnattr_init(&how);
        sigset_t all; sigfillset(&all);
        posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
        posix_spawnattr_setsigdefault(&how, &all);
        assert(!posix_spawnp(&child, "true", NULL, &how, arguments, environ));
        waitpid(child, &status, 0); assert(!status);
        static char stack[6144] __attribute__((aligned(16)));
        child = clone(in_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, "/bin/true");
        waitpid(child, &status, 0); assert(!status);
        assert(posix_spawnp(&child, "/no/such", NULL, NULL, arguments, environ) == 2);
    }
    puts("spawned");
}
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (_MASKS, "1\nall masks\n"),
        (_OWN_SIGSYS, "own\n"),
        (_JUMPS, "jumped\n"),
        (_CANCEL, "cancelled\n"),
        (_SMALL_STACKS, "spawned\n"),
    ],
    ids=["masks", "own SIGSYS", "jumps out of handlers", "cancellation", "small stacks"],
)
def test_programs_of_signals(trap: Trap, program: str, said: str) -> None:
    outcome = trap.c(program, timeout_seconds=100)
    assert (outcome.output, outcome.exit_code) == (said, 0)


def test_a_static_program_is_no_different(trap: Trap) -> None:
    assert trap.c(_MASKS + "/* static */", flags="-static").output == "1\nall masks\n"


def test_threads_start_many_programs_at_once(trap: Trap) -> None:
    """Each thread's child of vfork borrows the parent's memory until its program begins."""
    trap.python(
        """
        import subprocess, threading
        def work(number):
            for _ in range(25):
                done = subprocess.run(["sh", "-c", "exit $0", str(number % 7)], check=False)
                assert done.returncode == number % 7
                assert subprocess.run(["/no/such"], check=False) is None if False else failure(subprocess.run, ["/no/such"]) == "ENOENT"
        threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        subprocess.run(["true", *["x" * 20] * 20000], check=True)
        assert failure(subprocess.run, ["true", *["x" * 1000] * 5000]) == "E2BIG"
        """,
        timeout_seconds=120,
    )
