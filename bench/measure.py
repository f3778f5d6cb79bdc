"""The measurements. Each takes all paths at once, because its samples go round them in turn."""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import statistics
import subprocess
import time
from typing import NamedTuple

import parts
import processes


class Sizes(NamedTuple):
    connects: int
    bursts: int
    echoes: int
    bulk_mib: int
    bulk_rounds: int
    idle: int
    syncs: int
    openings: int
    entries: int


FULL = Sizes(connects=30, bursts=3, echoes=4000, bulk_mib=512, bulk_rounds=3, idle=200, syncs=200, openings=100, entries=20_000)
QUICK = Sizes(connects=5, bursts=1, echoes=400, bulk_mib=64, bulk_rounds=1, idle=20, syncs=50, openings=20, entries=2000)

AT_ONCE = 8
BURST_SESSIONS = 40
ECHO_BYTES = 64
ECHO_TURN = 200
STOLEN_MAX = 0.05
TRIES = 3


def sync(_paths, folder, sizes):
    """F: one fdatasync of one appended block, on the disk that everything else here uses."""
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(sizes.syncs):
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return {"p50_ms": ms(percentile(taken, 50)), "p99_ms": ms(percentile(taken, 99))}


def connect(paths, _folder, sizes):
    """`ssh host true`, from the client's start to its end."""
    rounds = calm(sizes.connects, lambda: {path.name: timed(once, path) for path in paths})
    taken = {path.name: [one[path.name] for one in rounds] for path in paths}
    return {name: {"p50_ms": ms(percentile(values, 50)), "p90_ms": ms(percentile(values, 90))} for name, values in taken.items()}


def rate(paths, _folder, sizes):
    """Sessions a second while eight clients come back at once for the next."""
    rates = {path.name: [] for path in paths}
    for _ in range(sizes.bursts):
        for path in paths:
            start = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(once, [path] * BURST_SESSIONS))
            rates[path.name].append(BURST_SESSIONS / (time.perf_counter() - start))
    return {name: {"per_s": round(statistics.median(values), 2)} for name, values in rates.items()}


def echo(paths, _folder, sizes):
    """64 bytes to a `cat` and back over a channel without a terminal; the paths take turns."""
    with contextlib.ExitStack() as stack:
        cats = [(path, stack.enter_context(session(path, "cat"))) for path in paths]
        for _, cat in cats:
            for _ in range(ECHO_TURN):
                round_trip(cat)
        turns = calm(-(-sizes.echoes // ECHO_TURN), lambda: {path.name: echo_turn(path, cat) for path, cat in cats})
    taken = {path.name: [one for turn in turns for one in turn[path.name][0]] for path in paths}
    cpu = {path.name: sum(turn[path.name][1] for turn in turns) for path in paths}
    return {
        name: {
            "p50_us": us(percentile(values, 50)),
            "p99_us": us(percentile(values, 99)),
            "samples": len(values),
            "proxy_cpu_us": us(cpu[name] / len(values)),
        }
        for name, values in taken.items()
    }


def bulk(paths, folder, sizes):
    """Random data down and up, and what the proxy spent on it."""
    data = random_file(folder, sizes.bulk_mib)
    rounds = {path.name: {"down": [], "up": []} for path in paths}
    try:
        for _ in range(sizes.bulk_rounds):
            for path in paths:
                for way in ("down", "up"):
                    rounds[path.name][way] += calm(1, functools.partial(transfer, path, way, data, sizes.bulk_mib))
    finally:
        data.unlink()
    return {name: {way: medians(samples) for way, samples in ways.items()} for name, ways in rounds.items()}


def idle(paths, _folder, sizes):
    """Memory of the proxy for each session that is open and does nothing; the sessions have terminals.

    A process is measured by the first of its paths: what that leaves behind, the next would use again."""
    first = {path.proxy: path for path in reversed(paths) if path.proxy}
    return {path.name: idle_one(path, sizes.idle) for path in first.values()}


ALL = {
    "sync": sync,
    "connect": connect,
    "rate": rate,
    "echo": echo,
    "bulk": bulk,
    "idle": idle,
    "gate": parts.gate,
    "entries": parts.entries,
    "packs": parts.packs,
}


def once(path):
    done = subprocess.run(path.command("true"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{path.name}: ssh ended with {done.returncode}: {done.stderr.decode(errors='replace')}")


@contextlib.contextmanager
def session(path, remote, options=()):
    command = path.command(remote, options=options)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()
        process.stdout.close()


def timed(work, *args):
    start = time.perf_counter()
    work(*args)
    return time.perf_counter() - start


def echo_turn(path, cat):
    before = processes.cpu_seconds(path.proxy)
    return [round_trip(cat) for _ in range(ECHO_TURN)], processes.cpu_seconds(path.proxy) - before


def round_trip(cat):
    start = time.perf_counter()
    os.write(cat.stdin.fileno(), bytes(ECHO_BYTES))
    left = ECHO_BYTES
    while left:
        got = len(os.read(cat.stdout.fileno(), left))
        if not got:
            raise SystemExit("the session ended in the middle of an echo")
        left -= got
    return time.perf_counter() - start


def random_file(folder, mib):
    """In memory where there is room, so that no disk is measured."""
    memory = pathlib.Path("/dev/shm")
    roomy = memory.is_dir() and os.statvfs(memory).f_bavail * os.statvfs(memory).f_frsize > 2 * mib << 20
    file = (memory if roomy else folder) / f"countersign-bench-{os.getpid()}"
    with file.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(1 << 20))
    return file


def calm(count, sample):
    """`count` samples; those during which the host gave more than `STOLEN_MAX` of the cores to others are taken again.

    At most `TRIES` times as many are taken. What counts are the least disturbed."""
    taken = []
    undisturbed = 0
    while undisturbed < count and len(taken) < TRIES * count:
        before = processes.machine_ticks()
        value = sample()
        share = processes.stolen(before)
        taken.append((share, value))
        undisturbed += share <= STOLEN_MAX
    return [value for _, value in sorted(taken, key=lambda one: one[0])[:count]]


def transfer(path, way, data, mib):
    before = processes.cpu_seconds(path.proxy)
    start = time.perf_counter()
    if way == "down":
        with open(os.devnull, "wb") as sink:
            done = subprocess.run(path.command(f"cat {data}"), stdin=subprocess.DEVNULL, stdout=sink, check=False)
    else:
        with data.open("rb") as source:
            done = subprocess.run(path.command("cat > /dev/null"), stdin=source, check=False)
    taken = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{path.name}: {way} ended with {done.returncode}")
    time.sleep(0.3)  # the proxy's own children end, and their time moves to their parent
    return mib / taken, (processes.cpu_seconds(path.proxy) - before) * 1024 / mib


def medians(samples):
    speeds, cpus = zip(*samples)
    return {"mib_per_s": round(statistics.median(speeds), 1), "proxy_cpu_s_per_gib": round(statistics.median(cpus), 3)}


def idle_one(path, count):
    before = processes.memory_kib(path.proxy)
    with contextlib.ExitStack() as stack:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            opened = [pool.submit(open_idle, path) for _ in range(count)]
            for future in opened:
                stack.enter_context(future.result())
        time.sleep(3)
        after = processes.memory_kib(path.proxy)
    time.sleep(1)
    return {f"{kind}_kib": round((after[kind] - before[kind]) / count, 1) for kind in after}


def open_idle(path):
    """A session with a terminal that has answered once and then waits."""
    stack = contextlib.ExitStack()
    process = stack.enter_context(session(path, "echo ready; exec cat", options=("-tt",)))
    if not process.stdout.readline().startswith(b"ready"):
        raise SystemExit(f"{path.name}: an idle session did not start")
    return stack


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def ms(seconds):
    return round(seconds * 1000, 3)


def us(seconds):
    return round(seconds * 1e6, 1)
