"""What a process and everything below it has used, from /proc."""

import os
import pathlib

import openssh

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root):
    """User and system time of the tree, of children that have ended too. Nothing for no process."""
    if root is None:
        return 0.0
    return sum(ticks(pid) for pid in [root, *openssh.descendants(root)]) / TICKS


def ticks(pid):
    try:
        # The name is in brackets and may hold anything; utime, stime, cutime, cstime are fields 14 to 17.
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])


def memory_kib(root):
    """Resident memory of the tree: `pss` counts a shared page once, `rss` once for each process that has it."""
    total = {"pss": 0, "rss": 0}
    for pid in [root, *openssh.descendants(root)]:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            for kind in total:
                if line.lower().startswith(f"{kind}:"):
                    total[kind] += int(line.split()[1])
    return total
