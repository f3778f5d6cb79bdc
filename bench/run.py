#!/usr/bin/env python3
"""Speed beside OpenSSH, in the same run: direct, through a second sshd (ProxyJump), and through the gateway,
which is reached in both of its ways.

Every path uses one key exchange and one cipher, the samples of the paths are interleaved, and a figure is worth as much
as its ratio to the path beside it. Prints one table and writes bench/results.json. Needs Linux, OpenSSH and nothing
else; the gateway takes part when bench/gateway.sh can start one (its contract stands in gateway.py).
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile

import gateway
import measure
import openssh
import processes
import report

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it works, not to compare")
    parser.add_argument("--only", metavar="NAME", action="append", choices=list(measure.ALL), help=f"one of {', '.join(measure.ALL)}")
    parser.add_argument("--json", type=pathlib.Path, default=HERE / "results.json", help="where the figures go")
    parser.add_argument("--no-gateway", action="store_true", help="the peers alone")
    parser.add_argument("--keep", action="store_true", help="keep the working folder with logs and configuration")
    return parser.parse_args()


def main():
    options = arguments()
    sizes = measure.QUICK if options.quick else measure.FULL
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="countersign-bench-"))
        if not options.keep:
            stack.callback(openssh.remove, folder)
        target = stack.enter_context(openssh.Server(folder, "target"))
        jump = stack.enter_context(openssh.Server(folder, "jump"))
        paths = [openssh.direct(folder, target), openssh.proxy_jump(folder, target, jump)]
        if options.no_gateway:
            print("gateway: left out as asked", file=sys.stderr)
        else:
            paths += gateway.paths(stack, HERE / "gateway.sh", folder, target)
        figures = {"machine": report.machine(), "sizes": sizes._asdict(), "paths": [path.name for path in paths], "stolen": {}}
        for name in options.only or measure.ALL:
            print(f"measuring {name} …", file=sys.stderr)
            before = processes.machine_ticks()
            figures[name] = measure.ALL[name](paths, folder, sizes)
            figures["stolen"][name] = round(processes.stolen(before), 3)
    report.table(figures)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"\nfigures: {options.json}")
    skipped = report.skipped_sync(figures)
    if skipped:
        raise SystemExit(skipped)


if __name__ == "__main__":
    main()
