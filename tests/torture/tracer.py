"""Runs a command under ptrace and, at the entry of its N-th system call, kills it or makes that call fail."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import platform
import signal
import struct
import tempfile

_SYSCALL_TRAP = signal.SIGTRAP | 0x80
_WAIT_ALL = 0x40000000  # __WALL: threads too
_TRACEME, _POKEUSER, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 6, 24, 0x4200, 0x420E
# Mark system call stops, follow threads and children, report exec by an event, kill all with the tracer.
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000
_ENTRY, _EXIT = 1, 2

_NUMBERS = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "pread64": 17, "pwrite64": 18, "writev": 20, "mremap": 25, "dup": 32,
        "exit": 60, "flock": 73, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82,
        "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91,
        "chown": 92, "fchown": 93, "setxattr": 188, "fsetxattr": 190, "exit_group": 231, "openat": 257,
        "mkdirat": 258, "fchownat": 260, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266,
        "fchmodat": 268, "sync_file_range": 277, "utimensat": 280, "fallocate": 285, "pwritev": 296, "syncfs": 306,
        "renameat2": 316, "getrandom": 318, "copy_file_range": 326, "openat2": 437, "fchmodat2": 452, "open": 2,
        "sendfile": 40, "ioctl": 16, "fcntl": 72,
    },
    "aarch64": {
        "fsetxattr": 7, "setxattr": 5, "dup": 23, "fcntl": 25, "ioctl": 29, "flock": 32, "mkdirat": 34,
        "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45, "ftruncate": 46,
        "fallocate": 47, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56, "close": 57,
        "read": 63, "write": 64, "writev": 66, "pread64": 67, "pwrite64": 68, "pwritev": 70, "sendfile": 71,
        "sync_file_range": 84, "fsync": 82, "fdatasync": 83, "utimensat": 88, "exit": 93, "exit_group": 94,
        "syncfs": 267, "renameat2": 276, "getrandom": 278, "copy_file_range": 285, "openat2": 437, "fchmodat2": 452,
    },
}  # fmt: skip

MACHINE = platform.machine()
NAMES = {number: name for name, number in _NUMBERS.get(MACHINE, {}).items()}
CAN_FAIL_CALLS = MACHINE == "x86_64"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What can change a file, a name or a lock. Opening counts where it may write or create.
CHANGING = _words(
    "write pwrite64 writev pwritev flock fsync fdatasync syncfs truncate ftruncate fallocate sync_file_range "
    "copy_file_range sendfile rename renameat renameat2 mkdir mkdirat rmdir creat link linkat unlink unlinkat symlink "
    "symlinkat chmod fchmod fchmodat fchmodat2 chown fchown fchownat setxattr fsetxattr utimensat open openat close "
    "exit_group"
)
_OPENING_FLAGS = {"open": 1, "openat": 2}  # which argument holds them
_MAY_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# What a signal may interrupt: elsewhere EINTR is not an answer that a program has to expect.
INTERRUPTIBLE = _words(
    "read pread64 write pwrite64 writev open openat openat2 flock fsync fdatasync fallocate ftruncate getrandom"
)
# What reads or changes files and can fail; without exit_group and close, whose failure nobody is told of.
FALLIBLE = (CHANGING | {"read", "pread64", "openat2", "getrandom"}) - {"exit_group", "close"}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class TraceError(RuntimeError):
    """The machine does not let this process trace, or the command cannot be started."""


def _ptrace(request: int, pid: int, address: int = 0, data: int | ctypes.Array[ctypes.c_char] = 0) -> int:
    result: int = _libc.ptrace(request, pid, address, data)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th call (from 1) that counts: SIGKILL where `error` is 0, else that errno."""

    at: int
    error: int = 0
    every_call: bool = False  # count all calls, not only those that fit the fault

    def counts(self, name: str, arguments: tuple[int, ...]) -> bool:
        if self.every_call and self.error == 0:
            return True
        if name in _OPENING_FLAGS and self.error == 0:
            return bool(arguments[_OPENING_FLAGS[name]] & _MAY_WRITE)
        if self.error == 0:
            return name in CHANGING
        return name in (INTERRUPTIBLE if self.error == 4 else FALLIBLE)


NO_FAULT = Fault(at=0)


@dataclasses.dataclass
class Outcome:
    """How a run went. `code` is the exit code, or minus the signal."""

    code: int
    reached: bool  # the fault happened
    call: str  # at which call
    count: int  # calls that counted
    hung: bool
    stderr: str


class _Run:
    def __init__(self, leader: int, fault: Fault) -> None:
        self.leader = leader
        self.fault = fault
        self.count = 0
        self.call = ""
        self.failing: set[int] = set()
        self.threads = {leader}
        self.code: int | None = None

    def loop(self) -> None:
        while self.code is None:
            try:
                pid, status = os.waitpid(-1, _WAIT_ALL)
            except ChildProcessError:
                raise TraceError("the traced command was lost") from None
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.threads.discard(pid)
                if pid == self.leader:
                    self.code = os.waitstatus_to_exitcode(status)
                continue
            self._stopped(pid, os.WSTOPSIG(status), status >> 16)

    def _stopped(self, pid: int, stop_signal: int, event: int) -> None:
        deliver = 0
        if stop_signal == _SYSCALL_TRAP:
            self._system_call(pid)
        elif event == 0 and not (stop_signal == signal.SIGSTOP and pid not in self.threads):
            deliver = stop_signal
        self.threads.add(pid)
        with contextlib.suppress(ProcessLookupError):
            _ptrace(_SYSCALL, pid, 0, deliver)

    def _system_call(self, pid: int) -> None:
        buffer = ctypes.create_string_buffer(88)
        try:
            _ptrace(_GET_SYSCALL_INFO, pid, len(buffer), buffer)
        except ProcessLookupError:
            return  # killed while it was stopped
        if buffer.raw[0] == _EXIT and pid in self.failing:
            self.failing.discard(pid)
            _ptrace(_POKEUSER, pid, 10 * 8, ctypes.c_ulong(-self.fault.error & (1 << 64) - 1).value)  # rax
        if buffer.raw[0] != _ENTRY or self.call:
            return
        number, *arguments = struct.unpack_from("<7Q", buffer.raw, 24)
        name = NAMES.get(number, f"call {number}")
        if not self.fault.counts(name, tuple(arguments)):
            return
        self.count += 1
        if self.count != self.fault.at:
            return
        self.call = name
        if self.fault.error == 0:
            os.kill(self.leader, signal.SIGKILL)
        else:
            _ptrace(_POKEUSER, pid, 15 * 8, (1 << 64) - 1)  # orig_rax: no call at all
            self.failing.add(pid)


def _start(command: list[str], directory: pathlib.Path, stderr: int) -> int:
    child = os.fork()
    if child != 0:
        return child
    try:
        os.chdir(directory)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor, target in ((null, 0), (null, 1), (stderr, 2)):
            os.dup2(descriptor, target)
        _ptrace(_TRACEME, 0)
        os.execv(command[0], command)
    finally:
        os._exit(127)


def run(command: list[str], directory: pathlib.Path, fault: Fault = NO_FAULT, limit_s: float = 60) -> Outcome:
    """Runs `command` (an absolute path first) in `directory`; call from a process with no other children."""
    if fault.error and not CAN_FAIL_CALLS:
        raise TraceError(f"making calls fail is not implemented for {MACHINE}")
    with tempfile.TemporaryFile() as stderr:
        leader = _start(command, directory, stderr.fileno())
        hung = False

        def stop(*_: object) -> None:
            nonlocal hung
            hung = True
            os.kill(leader, signal.SIGKILL)

        pid, status = os.waitpid(leader, 0)
        if not os.WIFSTOPPED(status):
            raise TraceError(f"cannot trace {command[0]}: it ended with status {status}")
        old_handler = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            _ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
            traced = _Run(leader, fault)
            _ptrace(_SYSCALL, pid)
            traced.loop()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old_handler)
        stderr.seek(0)
        text = stderr.read().decode("utf-8", "replace")
    assert traced.code is not None
    return Outcome(traced.code, bool(traced.call), traced.call, traced.count, hung, text)
