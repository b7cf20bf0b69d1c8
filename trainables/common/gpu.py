"""What NVIDIA's management library (NVML) tells of the GPU that a training computes on.

Never an error: where there is no NVML, or it does not tell, nothing is known. It is asked only in a process that has
computed on the GPU already, so a driver that hangs has been met before.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from trainables.contract import Record

# Bits of nvmlClocksEventReasons: what keeps the clock below what the GPU could do. An idle GPU, clocks that somebody
# set and those of a display are none.
_REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
_AND = ", "


class Gpu:
    """One GPU, as NVML sees it; made by `find`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self.name = _text(self._told(nvml.nvmlDeviceGetName))
        self.uuid = _text(self._told(nvml.nvmlDeviceGetUUID))

    def look(self) -> Record:
        """The columns of the trial records, of this moment; tens of microseconds to some milliseconds."""
        nvml = self._nvml
        memory = self._told(nvml.nvmlDeviceGetMemoryInfo)
        rates = self._told(nvml.nvmlDeviceGetUtilizationRates)
        busy = None if rates is None else rates.gpu / 100
        clock = self._told(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM)
        return {
            "gpu": self.name,
            "gpu_uuid": self.uuid,
            "gpu_memory_used_bytes": None if memory is None else int(memory.used),
            "gpu_utilisation_start": busy,
            "gpu_utilisation_end": busy,
            "gpu_clock_start_mhz": clock,
            "gpu_clock_end_mhz": clock,
            "gpu_clock_mhz": clock,
            "gpu_throttled": _words(self._told(_reasons(nvml))),
            "gpu_shared": _others(self._told(nvml.nvmlDeviceGetComputeRunningProcesses)),
        }

    def _told(self, question: Callable[..., Any], *more: Any) -> Any:
        try:
            return question(self._handle, *more)
        except Exception:  # not supported by this GPU or driver, or no permission: each is an NVMLError of its own
            return None


def find() -> Gpu | None:
    """The GPU that CUDA counts as this process's first; None where NVML does not know it."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = _handle(pynvml)
        return None if handle is None else Gpu(pynvml, handle)
    except Exception:  # no NVML, no driver, or one that is older than the library
        return None


def together(looks: Iterable[Record]) -> Record:
    """Several looks as one, the oldest first: extremes, first and last, and all that was seen; empty from none."""
    known = [look for look in looks if look]
    if not known:
        return {}
    throttled = [word for look in known for word in (look["gpu_throttled"] or "").split(_AND) if word]
    return {
        "gpu": known[-1]["gpu"],
        "gpu_uuid": known[-1]["gpu_uuid"],
        "gpu_memory_used_bytes": max(_told(known, "gpu_memory_used_bytes"), default=None),
        "gpu_utilisation_start": known[0]["gpu_utilisation_start"],
        "gpu_utilisation_end": known[-1]["gpu_utilisation_end"],
        "gpu_clock_start_mhz": known[0]["gpu_clock_start_mhz"],
        "gpu_clock_end_mhz": known[-1]["gpu_clock_end_mhz"],
        "gpu_clock_mhz": min(_told(known, "gpu_clock_mhz"), default=None),
        "gpu_throttled": _AND.join(dict.fromkeys(throttled)) or None,
        "gpu_shared": any(look["gpu_shared"] for look in known),
    }


def _told(looks: list[Record], key: str) -> list[int]:
    return [look[key] for look in looks if look[key] is not None]


def _handle(nvml: Any) -> Any:
    """By the UUID that CUDA gives; where it gives none, by CUDA_VISIBLE_DEVICES, which counts as NVML does mostly."""
    uuid = _cuda_uuid()
    for prefix in ("GPU", "MIG") if uuid else ():
        with suppress(nvml.NVMLError):
            return nvml.nvmlDeviceGetHandleByUUID(f"{prefix}-{uuid}")
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first) if first.startswith(("GPU-", "MIG-")) else None


def _cuda_uuid() -> str | None:
    """UUID of the first device that the CUDA driver shows this process; None where it does not tell."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        raw = (ctypes.c_ubyte * 16)()
        ask = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
        if cuda.cuInit(0) or ask(raw, 0):
            return None
    except (OSError, AttributeError):
        return None
    text = bytes(raw).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _reasons(nvml: Any) -> Any:
    """The function under its name of this version: NVIDIA calls throttling an event now."""
    new: Any = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    return new or nvml.nvmlDeviceGetCurrentClocksThrottleReasons


def _words(bits: int | None) -> str | None:
    return _AND.join(word for bit, word in _REASONS.items() if bits and bits & bit) or None


def _others(processes: list[Any] | None) -> bool:
    """Whether there are others than this one: in a container it may be listed under a number that it does not know."""
    pids = {process.pid for process in processes or ()}
    return len(pids - {os.getpid()}) > (os.getpid() not in pids)


def _text(name: str | bytes | None) -> str | None:
    return name.decode("utf-8", errors="replace") if isinstance(name, bytes) else name
