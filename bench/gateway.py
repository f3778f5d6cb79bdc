"""Lets a gateway take part in the measurements, by a script that knows how to start one.

Contract of bench/gateway.sh. It finds in its environment:
  BENCH_FOLDER         a private folder; write below BENCH_FOLDER/gateway
  BENCH_TARGET_PORT    the target's sshd on 127.0.0.1; BENCH_TARGET_PID its process, which re-reads its configuration,
                       BENCH_FOLDER/target.d/*.conf included, on SIGHUP
  BENCH_TARGET_HOSTKEY its host key (public file); BENCH_USER the account; BENCH_IDENTITY the client's private key
  BENCH_KEX, BENCH_CIPHER  what every leg must use
It prints, one a line, `name NAME` (optional), `pid N` (the gateway's process; its descendants are counted too),
`config FILE` (for `ssh -F`), `host NAME`, then `ready`; several gateways, or ways to one, repeat these. After `done` it waits, and ends
with everything that it started when its standard input closes. To leave the gateway out: print `none REASON`.
"""

import getpass
import os
import pathlib
import subprocess
import sys

import openssh


def paths(stack, script, folder, target):
    """The gateways that the script starts, as paths; they end with the stack."""
    if not script.exists():
        print("gateway: no bench/gateway.sh, the peers alone", file=sys.stderr)
        return []
    (folder / "gateway").mkdir()
    process = subprocess.Popen(
        [str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment(folder, target)}
    )
    stack.callback(finish, process)
    return list(announced(process))


def environment(folder, target):
    return {
        "BENCH_FOLDER": str(folder),
        "BENCH_TARGET_PORT": str(target.port),
        "BENCH_TARGET_PID": str(target.process.pid),
        "BENCH_TARGET_HOSTKEY": str(folder / "target.host.pub"),
        "BENCH_USER": getpass.getuser(),
        "BENCH_IDENTITY": str(folder / "client"),
        "BENCH_KEX": openssh.KEX,
        "BENCH_CIPHER": openssh.CIPHER,
    }


def announced(process):
    facts = {}
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "none":
            print(f"gateway: {rest}", file=sys.stderr)
            return
        if word == "done":
            return
        if word == "ready":
            yield openssh.Path(facts.get("name", "gateway"), pathlib.Path(facts["config"]), facts["host"], int(facts["pid"]))
            facts = {}
        else:
            facts[word] = rest
    raise SystemExit(f"bench/gateway.sh ended without `done` ({process.wait()})")


def finish(process):
    process.stdin.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
