"""Standard streams that are closed, or that are the file itself."""

import os
import signal
import subprocess
import time

from command import PROGRAM


def shell(place, script):
    return subprocess.run(["bash", "-c", script, PROGRAM], cwd=place.path, capture_output=True, timeout=60)


def test_a_closed_output_is_an_error_not_a_silent_success(place, model):
    place.write("m.safetensors", model)
    done = shell(place, '"$0" -c - < m.safetensors >&-')
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_a_closed_input_is_an_error_not_an_empty_archive(place):
    done = shell(place, '"$0" -c <&- > out.fly')
    assert done.returncode == 1
    assert os.path.getsize(place.path / "out.fly") == 0


def test_output_redirected_onto_the_source_leaves_it_as_it_was(place, model):
    place.write("m.safetensors", model)
    for script in ('"$0" -c m.safetensors 1<>m.safetensors', '"$0" -c m.safetensors >> m.safetensors'):
        done = shell(place, script)
        assert done.returncode == 1
        assert (place.path / "m.safetensors").read_bytes() == model


def test_an_archive_restored_onto_itself_leaves_it_as_it_was(archived):
    before = (archived.path / "m.safetensors.fly").read_bytes()
    assert shell(archived, '"$0" -dc m.safetensors.fly 1<>m.safetensors.fly').returncode == 1
    assert (archived.path / "m.safetensors.fly").read_bytes() == before


def test_a_link_to_an_open_descriptor_is_not_replaced(place, model):
    place.write("m.safetensors", model)
    (place.path / "stdout").symlink_to("/proc/self/fd/1")
    done = shell(place, '"$0" compress m.safetensors -f -o stdout > out')
    assert done.returncode == 1
    assert (place.path / "stdout").is_symlink()


def test_a_time_beyond_what_an_archive_can_hold_is_no_nonsense(place, model):
    place.write("m.safetensors", model)
    os.utime(place.path / "m.safetensors", (13_000_000_000, 13_000_000_000))
    assert place.run("m.safetensors").code == 0
    assert os.stat(place.path / "m.safetensors.fly").st_mtime > 9_000_000_000


def test_a_quit_from_the_keyboard_leaves_no_temporary_file(place):
    place.write("big", os.urandom(1 << 26))
    for wait_s in (0.02, 0.05, 0.1):
        process = subprocess.Popen([PROGRAM, "compress", "-f", "big"], cwd=place.path, stderr=subprocess.DEVNULL)
        time.sleep(wait_s)
        process.send_signal(signal.SIGQUIT)
        process.wait(60)
        assert [name for name in os.listdir(place.path) if name.startswith(".flyweight")] == []
