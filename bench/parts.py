"""What the product's parts cost by themselves, told by examples in Rust that measure a part beside its peer."""

import json
import os
import pathlib
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "target/release/examples"


def gate(_paths, folder, sizes):
    """From an opening's commit to the verified cosignature of a witness on the loopback; and F in the same moments."""
    return said("gate_speed", folder, str(sizes.openings))


def entries(_paths, folder, sizes):
    """Entries through the full commit of the store, from many sessions at once."""
    told = run("commit_rate", folder, str(sizes.entries), str(folder))
    if told is None:
        return {}
    _, per_s, cpu_us, one_by_one = told.splitlines()[-1].split()
    return {"per_s": float(per_s), "cpu_us": float(cpu_us), "one_by_one_per_s": float(one_by_one)}


def packs(_paths, folder, _sizes):
    """Packs verified, beside plain SHA-256 and the building of a tree."""
    return said("verify_speed", folder)


def said(example, folder, *arguments):
    told = run(example, folder, *arguments)
    return {} if told is None else json.loads(told)


def run(example, folder, *arguments):
    program = pathlib.Path(os.environ.get("COUNTERSIGN_EXAMPLES", EXAMPLES)) / example
    if not program.exists():
        print(f"{example}: left out, there is no {program}; make bench builds it", file=sys.stderr)
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(folder)}, check=False)
    if done.returncode:
        raise SystemExit(f"{example} ended with {done.returncode}: {done.stderr}")
    return done.stdout
