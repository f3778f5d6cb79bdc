"""One table from the figures: rows are what was measured, columns the paths, and ratios stand beside absolute values."""

import os
import pathlib
import platform
import subprocess
import time

# figure, unit, where it is, and the budget: how the gateway's value may stand to which path's.
ROWS = [
    ("ssh host true, p50", "ms", ("connect", "p50_ms"), ("<=", 1.05, "direct")),
    ("sessions, 8 at once", "/s", ("rate", "per_s"), (">=", 0.9, "direct")),
    ("echo, p50", "µs", ("echo", "p50_us"), ("<=", 1, "ProxyJump")),
    ("echo, p99", "µs", ("echo", "p99_us"), None),
    ("proxy CPU per echo", "µs", ("echo", "proxy_cpu_us"), None),
    ("download", "MiB/s", ("bulk", "down", "mib_per_s"), (">=", 1, "ProxyJump")),
    ("  proxy CPU per GiB", "s", ("bulk", "down", "proxy_cpu_s_per_gib"), ("<=", 1.5, None)),
    ("upload", "MiB/s", ("bulk", "up", "mib_per_s"), (">=", 1, "ProxyJump")),
    ("  proxy CPU per GiB", "s", ("bulk", "up", "proxy_cpu_s_per_gib"), ("<=", 1.5, None)),
    ("idle session, PSS", "KiB", ("idle", "pss_kib"), None),
    ("idle session, RSS", "KiB", ("idle", "rss_kib"), ("<=", 150, None)),
]

# The gate commits the opening, signs the head and waits for the witness: three syncs, one after the other. Under two,
# one of them did not happen.
GATE = (3, 5)
GATE_FLOOR = 2

# figure, unit, where it is, sign, budget.
PARTS = [
    ("durable entry, CPU", "µs", ("entries", "cpu_us"), "<=", 60),
    ("recordings verified / SHA-256", "", ("packs", "recordings", "ratio"), ">=", 0.6),
    ("entries verified / tree building", "", ("packs", "entries", "ratio"), ">=", 0.25),
]


def table(figures):
    paths = figures["paths"]
    gateways = paths[2:]
    print(f"\n{'':<22}{'':>7}" + "".join(f"{name:>16}" for name in paths) + ("  budget" if gateways else ""))
    for title, unit, where, budget in ROWS:
        values = {name: dig(figures, where, name) for name in paths}
        if all(value is None for value in values.values()):
            continue
        base = values["direct"]
        cells = "".join(f"{cell(values[name], base, name):>16}" for name in paths)
        print(f"{title:<22}{unit:>7}{cells}" + judged(values, budget, gateways))
    parts(figures)
    if "sync" in figures:
        print(f"fdatasync of one block: p50 {figures['sync']['p50_ms']} ms, p99 {figures['sync']['p99_ms']} ms")
    stolen = {name: f"{share:.0%}" for name, share in figures["stolen"].items() if share >= 0.01}
    print(f"the host took from this machine meanwhile: {stolen or 'less than 1 %'}")
    print("ratios are to direct; one key exchange (curve25519-sha256) and one cipher (aes128-gcm) on every leg")


def parts(figures):
    gate = figures.get("gate")
    if gate:
        (syncs, more), fdatasync = GATE, gate["fdatasync_p50_ms"]
        part("opening to cosignature, p50", "ms", gate["p50_ms"], "<=", round(syncs * fdatasync + more, 2), f" = {syncs} F + {more}, F {fdatasync:g}")
    for title, unit, where, sign, budget in PARTS:
        value = figures
        for key in where:
            value = value.get(key, {})
        if value != {}:
            part(title, unit, value, sign, budget)


def part(title, unit, value, sign, budget, how=""):
    kept = value <= budget if sign == "<=" else value >= budget
    print(f"{title:<34}{unit:>3}{value:>12g}  {sign} {budget:g}{how}: {'kept' if kept else 'MISSED'}")


def skipped_sync(figures):
    """Why no figure of this run is worth anything: a gate faster than its syncs. Nothing when it is not."""
    gate = figures.get("gate")
    if not gate or gate["p50_ms"] >= GATE_FLOOR * gate["fdatasync_p50_ms"]:
        return None
    return f"the gate took {gate['p50_ms']} ms, less than {GATE_FLOOR} fdatasync of {gate['fdatasync_p50_ms']} ms: a sync was skipped"


def dig(figures, where, path):
    found = figures.get(where[0], {}).get(path, {})
    for key in where[1:]:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def cell(value, base, name):
    if value is None or (name == "direct" and value == 0):
        return "–"
    return f"{value:g}" if name == "direct" or not base else f"{value:g} ({value / base:.2f})"


def judged(values, budget, gateways):
    if not budget or not gateways:
        return ""
    sign, factor, beside = budget
    limit = factor * (values[beside] if beside else 1)
    said = f"{sign} {factor} × {beside}" if beside else f"{sign} {factor}"
    measured = {name: values[name] for name in gateways if values[name] is not None}
    missed = [name for name, value in measured.items() if (value > limit if sign == "<=" else value < limit)]
    return f"  {said}: {'MISSED by ' + ', '.join(missed) if missed else 'kept'}"


def machine():
    model = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "cpu": model[0] if model else platform.machine(),
        "kernel": platform.release(),
        "openssh": version,
    }
