"""``srun`` and ``scontrol`` of a Slurm that is not there: they run commands on `tests.clusters.nodes`' hosts.

FAKE_HOSTS holds their names and sockets. As Slurm does, srun passes SIGTERM on and ends with the largest exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from nodes import Host, pass_on_signals


def srun(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--overlap", action="store_true")
    for option in ("--nodes", "--ntasks", "--ntasks-per-node", "--cpus-per-task"):
        parser.add_argument(option, type=int, default=1)
    parser.add_argument("--nodelist")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args(arguments)
    doors = json.loads(os.environ["FAKE_HOSTS"])
    names = [asked.nodelist] if asked.nodelist else list(doors)[: asked.nodes]
    assert len(names) == asked.nodes == asked.ntasks
    pass_on_signals()
    with ThreadPoolExecutor(len(names)) as pool:
        runs = [
            pool.submit(Host(name, "", Path(doors[name])).run, asked.command, dict(os.environ), str(Path.cwd()))
            for name in names
        ]
        return max(run.result() for run in runs)


def scontrol(arguments: list[str]) -> int:
    assert arguments[:2] == ["show", "hostnames"]
    assert arguments[2] == os.environ["SLURM_JOB_NODELIST"]
    print(*json.loads(os.environ["FAKE_HOSTS"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit({"srun": srun, "scontrol": scontrol}[sys.argv[1]](sys.argv[2:]))
