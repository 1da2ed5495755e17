"""Programs of every kind do their work: compilers, languages, static binaries, a server."""

import os
from collections.abc import Iterator

import pytest

from tests.sandbox.trap.conftest import Trap, kept_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes another user"),
]

PACKAGES = (
    *("gcc", "g++", "gfortran", "libc6-dev", "make", "git", "perl", "python3-venv", "python3-dev", "procps"),
    *("openjdk-17-jre-headless", "r-base-core", "nodejs", "umoci", "busybox-static", "curl", "pkg-config"),
)


@pytest.fixture(scope="module")
def large() -> Iterator[Trap]:
    with kept_root(PACKAGES) as root:
        yield Trap(root)


def test_make_with_many_jobs(large: Trap) -> None:
    outcome = large.shell(
        """
        rm -rf /tmp/make; mkdir /tmp/make; cd /tmp/make
        for n in $(seq 40); do echo "int f$n(void) { return $n; }" > f$n.c; done
        echo 'int f7(void); int main(void) { return f7() - 7; }' > main.c
        printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tcc -o $@ $^\n' > Makefile
        make -s -j8 && ./program && echo 'program p; print *, "fortran"; end' > f.f90 && gfortran f.f90 -o f && ./f
        printf '#include <iostream>\nint main() { try { throw 1; } catch (int) { std::cout << "c++"; } }' > c.cc && g++ c.cc -o c && ./c
        """,
        timeout_seconds=120,
    )
    assert outcome.output.split() == ["fortran", "c++"], outcome.output


def test_git(large: Trap) -> None:
    outcome = large.shell(
        """
        rm -rf /tmp/git; mkdir /tmp/git; cd /tmp/git; export HOME=/tmp/git
        git config --global user.email a@b.c; git config --global user.name a; git init -q -b main one; cd one
        for n in 1 2 3; do seq $n > f; git add f; git commit -qm $n; done; git checkout -qb side HEAD~1; echo s > s; git add s; git commit -qm s
        git rebase -q main; git gc -q; git clone -q . ../two; git clone -q "file://$PWD" ../three; cd ../three; git log --oneline origin/side | wc -l
        git stash list; git fsck --no-progress
        """,
        timeout_seconds=120,
    )
    assert (outcome.output, outcome.exit_code) == ("4\n", 0)


def test_java(large: Trap) -> None:
    """The launcher finds its library by /proc/self/exe; the machine has dozens of threads and its own signal handlers."""
    outcome = large.shell(
        """
        java -version 2>&1 | head -1 | cut -d'"' -f1
        java -XX:+UseParallelGC -Xmx64m -XshowSettings:system -version 2>&1 | grep -c Operating
        keytool -list -cacerts -storepass changeit 2>/dev/null | grep -c trustedCertEntry
        """,
        timeout_seconds=120,
    )
    version, systems, certificates = outcome.output.splitlines()
    assert (version, systems) == ("openjdk version ", "1")
    assert int(certificates) > 50


def test_r(large: Trap) -> None:
    outcome = large.shell(
        """
        rm -rf /tmp/r; mkdir -p /tmp/r/pk/R /tmp/r/pk/src; cd /tmp/r
        printf 'Package: pk\nVersion: 0.1\nTitle: T\nDescription: D.\nLicense: GPL-2\nAuthor: a\nMaintainer: a <a@b.c>\nNeedsCompilation: yes\n' > pk/DESCRIPTION
        echo 'export(f); useDynLib(pk)' > pk/NAMESPACE; echo 'f <- function(x) .Call("cf", x)' > pk/R/f.R
        printf '#include <Rinternals.h>\nSEXP cf(SEXP x) { return x; }' > pk/src/c.c
        R CMD INSTALL pk > log 2>&1 || { cat log; exit 1; }
        Rscript -e 'library(pk); cat(f(42), sum(unlist(parallel::mclapply(1:8, function(n) n * n, mc.cores = 2))), "\n")'
        R CMD REMOVE pk 2>/dev/null
        """,
        timeout_seconds=200,
    )
    assert outcome.output == "42 204 \n", outcome.output


def test_node(large: Trap) -> None:
    script = (
        "const {execFileSync, spawn} = require('child_process'); const {Worker} = require('worker_threads'); const http = require('http');"
        "console.log(execFileSync('/bin/echo', ['child']).toString().trim());"
        "const server = http.createServer((q, a) => a.end('served')).listen('/tmp/node.sock', () => "
        "http.get({socketPath: '/tmp/node.sock'}, a => a.on('data', d => { console.log(d.toString()); server.close();"
        'new Worker(\'console.log(require("fs").readFileSync("/etc/debian_version").length > 0)\', {eval: true}); })));'
    )
    assert large.run("node", "-e", script, timeout_seconds=60).output == "child\nserved\ntrue\n"


def test_go(large: Trap) -> None:
    """Goroutines have stacks of a few kilobytes, and Go calls the kernel without a C library."""
    outcome = large.shell(
        """
        rm -rf /tmp/go; mkdir /tmp/go; cd /tmp/go; umoci init --layout image; umoci new --image image:latest
        umoci unpack --rootless --image image:latest bundle; echo x > bundle/rootfs/file
        umoci repack --image image:latest bundle; umoci stat --image image:latest | grep -c sha256
        """,
        timeout_seconds=60,
    )
    assert outcome.exit_code == 0, outcome.output
    assert int(outcome.output.splitlines()[-1]) >= 1


def test_python_environments_and_processes(large: Trap) -> None:
    outcome = large.shell(
        """
        rm -rf /tmp/venv; python3 -m venv --without-pip /tmp/venv; /tmp/venv/bin/python -c 'import sys; print(sys.prefix)'
        cat > /tmp/many.py <<'END'
import asyncio, concurrent.futures as futures, multiprocessing as processes, os, subprocess, sys
def square(n): return n * n
async def echo():
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    return (await child.communicate(b"through"))[0]
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with processes.get_context(method).Pool(3) as pool: assert pool.map(square, range(40)) == [n * n for n in range(40)]
    with futures.ThreadPoolExecutor(70) as pool: assert sum(pool.map(square, range(500))) == 41541750
    with processes.Manager() as manager: manager.dict()["x"] = 1
    print(asyncio.run(echo()).decode())
END
        python3 /tmp/many.py
        """,
        timeout_seconds=120,
    )
    assert outcome.output == "/tmp/venv\nthrough\n"


def test_job_control_static_programs_perl_and_tar(large: Trap) -> None:
    outcome = large.shell(
        r"""
        set -m; sleep 0.2 & wait; sleep 100 & kill %+; wait %+ || echo ended; trap 'echo trapped' USR1; kill -USR1 $$; cat <(echo substituted)
        busybox sh -c 'cd /tmp; echo $PWD; busybox ls /etc/debian_version; busybox stat -c %U /etc'
        perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGSYS)); print -e "/etc/passwd" ? "perl
" : "no
"; open F, "-|", "id -u"; print <F>'
        rm -rf /tmp/tar; mkdir /tmp/tar; tar -C /usr/share -cf - perl5 | tar -C /tmp/tar -xf -; diff -r /usr/share/perl5 /tmp/tar/perl5 && echo same
        chroot /tmp/tar /nothing 2>&1 | tail -1 | grep -c 'No such file'
        """,
        timeout_seconds=60,
    )
    assert [line for line in outcome.output.splitlines() if not line.startswith("[")] == [
        *("ended", "trapped", "substituted", "/tmp", "/etc/debian_version", "root", "perl", "0", "same", "1"),
    ]
