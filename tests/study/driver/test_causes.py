"""Why a trial died: the texts are Ray 2.60's own, as Tune keeps them."""

from __future__ import annotations

import pytest

from study.driver.causes import LESS_MEMORY, cause
from study.driver.failures import Failures, failures, fruitless
from trainables.contract import Record

OUT_OF_MEMORY = """\
Failure # 1 (occurred at 2026-11-25_20-22-35)
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.2, ID: 879d171b2d756f96) \
was 22.62GB used / 23.54GB limit (0.960917)
OOM kill reason: Memory usage 24288030976B exceeded threshold of 24012688588B (95.0% of 25276514304B limit)
Object store memory usage: [- objects spillable: 0
Eviction Stats:
(global lru) bytes evicted: 0]
Ray killed 1 worker(s) based on the killing policy
Considered workers: [
Selected to kill: (Task: job ID=01000000, lease ID=0000000, task name=T.__init__, required resources={CPU: 1, \
bundle_group_0_2d257b6cdaaabdea340d32c2c76601000000: 0.001}, pid=23934, actual memory used=11.06GB, worker ID=71e2cb37)
]
Total non-selected idle workers: 0
Refer to the documentation on how to address the out of memory issue: https://docs.ray.io/en/latest/debug-memory.html. \
To revert to the legacy policy of determining worker to oom kill based on owner group size, set the environment variable
"""
GONE = """\
Failure # 1 (occurred at 2026-11-25_20-21-35)
The actor died unexpectedly before finishing this task.
\tclass_name: T
\tpid: 22845
\tip: 10.0.0.2
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed due \
to SIGSEGV or another unexpected error.
"""
RAISED = """\
Failure # 1 (occurred at 2026-11-25_20-22-14)
\x1b[36mray::T.train()\x1b[39m (pid=23518, ip=10.0.0.2, actor_id=5550aeef, repr=<T object at 0x7fde1392a810>)
  File "trainable.py", line 326, in train
    result = self.step()
             ^^^^^^^^^^^
RuntimeError: ValueError: multi
line text

  indented end
"""
CREATION = """\
Failure # 2 (occurred at 2026-11-26_06-26-00)
The actor died because of an error raised in its creation task, \x1b[36mray::T.__init__()\x1b[39m (pid=12949, \
ip=127.0.0.1, actor_id=add55daa, repr=<T object at 0x7f4f63760ad0>)
           ^^^^^^^^^^^^^^^^^^
  File "trainable.py", line 151, in __init__
    self.setup(copy.deepcopy(self.config))
KeyError: 'lease'
"""
COLOURED = "RuntimeError: \x1b[36mthis\x1b[39m"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            OUT_OF_MEMORY,
            "killed for want of memory: 22.62GB of 23.54GB were in use, 11.06 GB of them by the trial; " + LESS_MEMORY,
        ),
        (OUT_OF_MEMORY.replace("was 22.62GB used", "was used"), f"killed for want of memory; {LESS_MEMORY}"),
        (
            GONE,
            "its process is gone: killed, crashed, or ended by the kernel for want of memory (dmesg tells); if it was "
            f"that, {LESS_MEMORY}",
        ),
        (RAISED, "ValueError: multi"),
        (CREATION, "KeyError: 'lease'"),
        (COLOURED, "RuntimeError: this"),
        ("RuntimeError: no framework said this", "RuntimeError: no framework said this"),
        ("", "the trial's process died"),
    ],
)
def test_the_cause_in_a_line(text: str, expected: str) -> None:
    assert cause(text) == expected
    assert "slice.max_concurrent" in LESS_MEMORY


def row(outcome: str, error: str | None = None, **changes: object) -> Record:
    point = {"learning_rate": 0.1, "batch_size": 32, "num_workers": 0}
    made = {
        "phase": "search",
        "framework": "pytorch",
        "number": 0,
        "outcome": outcome,
        "error": error,
        "confirms": None,
    }
    return {**point, **made, "reached": outcome == "reached", "objective": 1.0, **changes}


def test_the_most_frequent_error_whatever_its_numbers() -> None:
    rows = [row("failed", "out of memory: 1.5 GB"), row("failed", "no disk"), row("failed", "out of memory: 22 GB")]
    found = failures([*rows, row("reached")])
    assert found == Failures(3, 4, "out of memory: 1.5 GB", 2)
    assert str(found) == "3 of 4 trials failed, 2 of them with: out of memory: 1.5 GB"
    assert str(failures(rows[:1])) == "the 1 trial failed with: out of memory: 1.5 GB"
    assert failures([row("reached"), row("diverged")]) is None


def test_a_framework_without_a_result() -> None:
    reached, failed = row("reached"), row("failed", "x", framework="flux")
    assert fruitless([reached, failed], ["pytorch", "flux"]) == ["flux"]
    assert fruitless([reached, failed, {**failed, "outcome": "diverged"}], ["pytorch", "flux"]) == []
    confirming = row("failed", "x", phase="confirm", confirms=0)
    assert fruitless([reached, confirming], ["pytorch"]) == ["pytorch"]
    assert fruitless([reached, confirming, {**confirming, "outcome": "out_of_time"}], ["pytorch"]) == []
    assert fruitless([reached, {**confirming, "confirms": 7}], ["pytorch"]) == []  # of a former winner
    assert fruitless([], ["pytorch"]) == []
