"""Runs a command some times from a small process and prints wall seconds, CPU seconds and peak memory as JSON.

Small, since the kernel counts the parent's memory at the moment of the fork into the child's peak: no large imports.
"""

import json
import os
import sys
import time


def main() -> int:
    count, command = int(sys.argv[1]), sys.argv[2:]
    null = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    runs = []
    for _ in range(count):
        begin = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=null)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - begin
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            print(f"{' '.join(command)}: exit status {code}", file=sys.stderr)
            return 1
        runs.append({"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_kib": usage.ru_maxrss})
    json.dump(runs, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
