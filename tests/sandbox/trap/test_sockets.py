"""Sockets: AF_UNIX paths are the root's in every call, credentials are the program's, and a run may be offline."""

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


def test_streams(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        import socket, threading
        os.chdir("{inside(folder)}")
        for name in ("relative", "{inside(folder)}/absolute", "../{folder.name}/dots", "{inside(folder)}/" + "x" * 80):
            server = socket.socket(socket.AF_UNIX)
            server.bind(name)
            server.listen()
            assert failure(socket.socket(socket.AF_UNIX).bind, name) == "EADDRINUSE"
            client = socket.socket(socket.AF_UNIX)
            if len(name) < 80:
                client.bind(name + "-client")
            client.connect(name)
            accepted, address = server.accept()
            client.sendall(b"through")
            assert accepted.recv(7) == b"through"
            if len(name) < 80:
                assert server.getsockname() == client.getpeername() == os.path.abspath(name), server.getsockname()
                assert address == accepted.getpeername() == os.path.abspath(name) + "-client", address
        assert failure(socket.socket(socket.AF_UNIX).connect, "/run/nobody") == "ENOENT"
        assert failure(socket.socket(socket.AF_UNIX).bind, "/no/such/folder") == "ENOENT"
        abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\0name"); abstract.listen()
        socket.socket(socket.AF_UNIX).connect("\\0name")
        """
    )
    assert (folder / "relative").is_socket()


def test_datagrams(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        import socket, struct
        one, two = "{inside(folder)}/one", "{inside(folder)}/two"
        sender, receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.bind(one); receiver.bind(two)
        sender.sendto(b"sendto", two); assert receiver.recvfrom(9) == (b"sendto", one)
        sender.sendmsg([b"send", b"msg"], [], 0, two); assert receiver.recvmsg(9) == (b"sendmsg", [], 0, one)
        reading, writing = os.pipe()
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", writing))], 0, two)
        message, ancillary, _, _ = receiver.recvmsg(9, 100)
        os.write(struct.unpack("i", ancillary[0][2])[0], b"passed"); assert os.read(reading, 6) == b"passed"
        # sendmmsg: two messages, to two addresses
        buffers = [ctypes.create_string_buffer(text, len(text)) for text in (b"first", b"second")]
        class Part(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
        class Message(ctypes.Structure):
            _fields_ = [("name", ctypes.c_void_p), ("name_size", ctypes.c_int), ("parts", ctypes.POINTER(Part)), ("count", ctypes.c_size_t),
                        ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t), ("flags", ctypes.c_long), ("sent", ctypes.c_long)]
        class Address(ctypes.Structure): _fields_ = [("family", ctypes.c_ushort), ("path", ctypes.c_char * 108)]
        address = Address(1, two.encode())
        parts = [Part(ctypes.addressof(buffer), len(buffer)) for buffer in buffers]
        class Entry(ctypes.Structure): _fields_ = [("message", Message)]
        messages = (Message * 2)(*(Message(ctypes.addressof(address), 110, ctypes.pointer(part), 1) for part in parts))
        assert ctypes.sizeof(Message) == 64 and call(307, sender.fileno(), messages, 2, 0) == 1 and messages[0].sent == 5
        assert receiver.recv(9) == b"first"
        """
    )


def test_credentials_are_the_programs_own(trap: Trap, folder: Path, inside: Inside) -> None:
    trap.python(
        f"""
        import socket, struct
        def test():
            left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            pid, uid, gid = struct.unpack("iII", left.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            assert (pid, uid, gid) == (os.getpid(), os.getuid(), os.getgid())
            right.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            left.sendmsg([b"x"], [(socket.SOL_SOCKET, 2, struct.pack("iII", os.getpid(), os.getuid(), os.getgid()))])
            _, ancillary, _, _ = right.recvmsg(9, 100)
            assert struct.unpack("iII", ancillary[0][2]) == (os.getpid(), os.getuid(), os.getgid())
        test()
        as_user(1000, test)
        server = socket.socket(socket.AF_UNIX); server.bind("{inside(folder)}/guarded"); server.listen(); os.chmod("{inside(folder)}/guarded", 0o755)
        os.chmod("{inside(folder)}", 0o755)
        def refused():
            assert failure(socket.socket(socket.AF_UNIX).connect, "{inside(folder)}/guarded") == "EACCES"
            assert failure(socket.socket(socket.AF_UNIX).bind, "{inside(folder)}/new") == "EACCES"
        as_user(1000, refused)
        socket.socket(socket.AF_UNIX).connect("{inside(folder)}/guarded")
        """
    )


def test_without_a_network_only_this_machine_is_there(trap: Trap) -> None:
    code = """
        import socket
        server = socket.create_server(("127.0.0.1", 0)); client = socket.create_connection(server.getsockname())
        server6 = socket.create_server(("::1", 0), family=socket.AF_INET6); socket.create_connection(server6.getsockname()[:2])
        def reach(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
        def send(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))
        print(failure(reach), failure(send))
        """
    assert trap.python(code, network=False) == "ENETUNREACH ENETUNREACH\n"


def test_waiting_for_a_message_is_interrupted(trap: Trap) -> None:
    trap.python(
        """
        import signal, socket
        class Interrupted(Exception): pass
        def interrupt(*_): raise Interrupted
        signal.signal(signal.SIGALRM, interrupt)
        left, right = socket.socketpair()
        datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); datagram.bind("")
        server = socket.create_server(("127.0.0.1", 0))
        for wait in (lambda: left.recvmsg(1), lambda: left.recvfrom(1), lambda: datagram.recvfrom(1), server.accept):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                wait()
            except Interrupted:
                continue
            raise AssertionError
        """
    )
