"""Inductor in a trial's process: it finds nothing that another process compiled, and leaves nothing behind.

What it compiles lies in a folder of the process's own. A process that serves one training after the other finds what it
compiled itself, as Julia does; a fresh one compiles everything.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

# Settings of the user's that change what is compiled, or how; CXX, which names the compiler, is not among them.
_CLEARED = ("TORCHINDUCTOR_", "TORCHDYNAMO_", "TORCH_COMPILE_", "TRITON_CACHE_")
_PREFIX, _LOCK = "tuneoff-compiled-", "lock"
_YOUNG_S = 60.0  # between making its folder and locking it a process may be interrupted
_WITHOUT_END = (
    10**6
)  # shapes in a process that searches batch sizes and options; the default is 8, and eager from then on


@cache
def settle() -> Path:
    """Set up inductor, once a process and before anything is compiled; the folder that it writes to."""
    for name in [name for name in os.environ if name.startswith(_CLEARED)]:
        del os.environ[name]
    folder = _own_folder()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process: workers would leave its CPUs, and outlive it
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        from torch._inductor import codecache  # noqa: F401 (decides where compiled headers go, which is kept for good)
    finally:
        tempfile.tempdir = usual
    from torch._dynamo import config as tracing
    from torch._inductor import config as compiling

    compiling.fx_graph_cache = False
    compiling.cpp_cache_precompile_headers = shutil.which("openssl") is not None  # which inductor asks for a checksum
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # warns of every CPU that it has no CUDA
    tracing.recompile_limit = _WITHOUT_END
    tracing.accumulated_recompile_limit = _WITHOUT_END
    return folder


def _own_folder() -> Path:
    """An empty folder that is removed when this process ends; where it is killed, by the next one."""
    remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = FileLock(folder / _LOCK)
    lock.acquire()  # the system lets go of it when the process is gone, however it went
    atexit.register(_remove, folder, lock, os.getpid())
    return folder


def remove_left_behind() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):  # another user's, or of a process that runs
            continue


def _remove(folder: Path, lock: FileLock, process: int) -> None:
    if os.getpid() == process:  # not in a loader worker
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
