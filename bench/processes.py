"""What a process and everything below it has used, and what the host left of the machine, from /proc."""

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


def machine_ticks():
    """All cores' time since the start, in ticks, and what of it the host gave to others."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[7]


def stolen(before):
    """The share of the cores' time since `before` (`machine_ticks`) that the host gave to others."""
    (all_before, stolen_before), (all_now, stolen_now) = before, machine_ticks()
    return (stolen_now - stolen_before) / max(all_now - all_before, 1)
