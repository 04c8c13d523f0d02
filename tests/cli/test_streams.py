"""Standard input and output, terminals."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

from command import MIB, PROGRAM


def test_pipes(place, model):
    compressed = place.run(stdin=model)
    assert compressed.code == 0 and compressed.err == ""
    assert place.run("-d", stdin=compressed.out_bytes).out_bytes == model
    assert place.run("decompress", "-", stdin=compressed.out_bytes).out_bytes == model
    assert place.run("-t", "-", stdin=compressed.out_bytes).code == 0
    assert "BF16" in place.run("list", "-", stdin=compressed.out_bytes).out
    assert place.names() == []


def test_stdout_and_stdin_with_names(place, model):
    place.write("m", model)
    archive = place.run("-c", "m").out_bytes
    assert archive == place.run("compress", "m", "-o", "-").out_bytes
    assert place.run("-", "-o", "m.fly", stdin=model).code == 0
    assert place.run("-dc", "m.fly").out_bytes == model
    assert place.run("-d", "-", "-o", "back", stdin=archive).code == 0
    assert place.read("back") == model
    umask = os.umask(0)
    os.umask(umask)
    assert (place.path / "back").stat().st_mode & 0o777 == 0o666 & ~umask


def test_several_files_decompress_to_one_stream(place):
    for name in ("a", "b"):
        place.write(name, name.encode() * 100)
        place.run(name)
    assert place.run("-dc", "a.fly", "b.fly").out_bytes == b"a" * 100 + b"b" * 100


def test_empty_input(place):
    place.write("empty", b"")
    assert place.run("empty").code == 0
    assert place.run("-dc", "empty.fly").out_bytes == b""
    assert place.run("-d", stdin=place.run(stdin=b"").out_bytes).code == 0


def test_closed_pipe_is_quiet(place):
    place.write("m", os.urandom(4 * MIB))
    place.run("m")
    command = [PROGRAM, "-dc", "m.fly"]
    with subprocess.Popen(command, cwd=place.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == -signal.SIGPIPE


def test_full_standard_output_is_an_error(place, model):
    place.write("m", model)
    place.run("m")
    for arguments in (["-c", "m"], ["-dc", "m.fly"], ["list", "m.fly"], ["--version"]):
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [PROGRAM, *arguments], cwd=place.path, stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert process.returncode == 1
        assert b"No space left on device" in process.stderr
        assert process.stderr.count(b"\n") == 1


def run_on_terminal(place, arguments, typed=b"", streams=(0, 1, 2), environment=None):
    """Runs the command with some of its streams on a terminal of 80 columns; gives its code and what was shown."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    other = os.open(os.devnull, os.O_RDWR)
    ends = [terminal if stream in streams else other for stream in (0, 1, 2)]
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=place.path,
        stdin=ends[0],
        stdout=ends[1],
        stderr=ends[2],
        env={**os.environ, "TERM": "xterm", **(environment or {})},
    )
    os.close(terminal)
    os.close(other)
    if typed:
        os.write(controller, typed)
    shown = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(controller)
    return process.wait(60), shown.decode("utf-8", "replace")


def test_terminal_asks_before_overwriting(archived):
    archived.write("m.safetensors.fly", b"precious")
    code, shown = run_on_terminal(archived, ["m.safetensors"], typed=b"n\n")
    assert code == 2 and "m.safetensors.fly already exists; overwrite? (y/N)" in shown
    assert archived.read("m.safetensors.fly") == b"precious"
    code, shown = run_on_terminal(archived, ["m.safetensors"], typed=b"y\n")
    assert code == 0
    assert archived.run("-t", "m.safetensors.fly").code == 0


def test_archives_are_not_written_to_a_terminal(place, model):
    place.write("m", model)
    code, shown = run_on_terminal(place, ["-c", "m"])
    assert code == 2
    assert shown.strip() == "flyweight: m: an archive is not written to a terminal; name a file with -o, or use -f"
    code, shown = run_on_terminal(place, ["-cf", "m"], streams=(1,))
    assert code == 0 and "FLY" in shown


def test_nothing_to_do_on_a_terminal(place):
    code, shown = run_on_terminal(place, [])
    assert code == 2 and "no file is named" in shown


def test_progress_is_drawn_on_terminals_only(place):
    with open(place.path / "m", "wb") as file:
        file.truncate(500 * MIB)
    code, shown = run_on_terminal(place, ["m", "-T1"], streams=(2,))
    assert code == 0
    frames = [frame for frame in shown.split("\r") if "%" in frame and "[" in frame]
    assert frames and re.search(r"m  compress \[#*\.*\] +\d+%  [\d.]+ [kMG]?B  [\d.]+ [kMG]?B/s", frames[0])
    assert all(len(re.sub(r"\x1b\[K", "", frame)) < 80 for frame in frames)
    assert "written to m.fly" in shown
    for words, environment in ((["-q"], {}), ([], {"TERM": "dumb"})):
        code, shown = run_on_terminal(place, ["m", "-f", "-T1", *words], streams=(2,), environment=environment)
        assert code == 0 and "\r" not in shown.replace("\r\n", "\n")
