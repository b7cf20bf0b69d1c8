"""What NVML tells of a trial's GPU; there is none here, so a module of its name tells stories."""

# ruff: noqa: N802
# The names are NVIDIA's.

from __future__ import annotations

import ctypes
import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from trainables.common import gpu

UUID = "6d3f0a1c-0000-4444-8888-0123456789ab"


class NVMLError(Exception):
    pass


class Nvml(SimpleNamespace):
    """Two GPUs; the values of the second can be changed."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1

    def __init__(self, **told: Any) -> None:
        super().__init__(used=2**30, busy=97, clock=1980, reasons=0, pids=[os.getpid()], **{"uuid": UUID} | told)
        vars(self).update(told)

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in (f"GPU-{self.uuid}", f"MIG-{self.uuid}"):
            raise NVMLError("not found")
        return uuid

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index > 1:
            raise NVMLError("invalid")
        return f"index {index}"

    def nvmlDeviceGetName(self, handle: str) -> bytes:
        return b"NVIDIA H100"

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(used=self.used)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return SimpleNamespace(gpu=self.busy)

    def nvmlDeviceGetClockInfo(self, handle: str, which: int) -> int:
        assert which == self.NVML_CLOCK_SM
        return int(self.clock)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return int(self.reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.pids]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    fake = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(gpu, "_cuda_uuid", lambda: UUID)
    return fake


def looked() -> dict[str, Any]:
    found = gpu.find()
    assert found is not None
    return found.look()


def test_nothing_is_known_where_there_is_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as where it is not installed
    assert gpu.find() is None


@pytest.mark.parametrize("broken", [NVMLError("Driver Not Loaded"), OSError("libnvidia-ml.so.1"), SystemError()])
def test_nothing_is_known_where_nvml_does_not_start(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch, broken: Exception
) -> None:
    def init() -> None:
        raise broken

    monkeypatch.setattr(nvml, "nvmlInit", init)
    assert gpu.find() is None


def test_one_look(nvml: Nvml) -> None:
    assert looked() == {
        "gpu": "NVIDIA H100",
        "gpu_uuid": f"GPU-{UUID}",
        "gpu_memory_used_bytes": 2**30,
        "gpu_utilisation_start": 0.97,
        "gpu_utilisation_end": 0.97,
        "gpu_clock_start_mhz": 1980,
        "gpu_clock_end_mhz": 1980,
        "gpu_clock_mhz": 1980,
        "gpu_throttled": None,
        "gpu_shared": False,
    }


@pytest.mark.parametrize(
    "silent",
    [
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetName",
    ],
)
def test_what_a_driver_does_not_support_is_left_out_alone(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    whole = looked()

    def refuse(*_: Any) -> None:
        raise NVMLError("Not Supported")

    monkeypatch.setattr(nvml, silent, refuse)
    left = looked()
    assert {key for key in whole if left[key] not in (whole[key], None)} == set()
    assert left["gpu_uuid"] == whole["gpu_uuid"]


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, None),
        (0x1, None),  # idle
        (0x2 | 0x100, None),  # clocks that somebody set, and a display's
        (0x4, "power cap"),
        (0x8 | 0x40, "hardware slowdown, hardware thermal slowdown"),
        (0x4 | 0x20 | 0x80 | 0x1, "power cap, software thermal slowdown, power brake"),
    ],
)
def test_reasons_of_throttling(nvml: Nvml, bits: int, words: str | None) -> None:
    nvml.reasons = bits
    assert looked()["gpu_throttled"] == words


def test_throttling_under_its_new_name(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda _: 0x4, raising=False)
    assert looked()["gpu_throttled"] == "power cap"


@pytest.mark.parametrize(
    ("pids", "shared"),
    [
        ([os.getpid()], False),
        ([os.getpid(), 1], True),
        ([], False),
        ([1], False),  # this one, as the host counts, seen from a container
        ([1, 2], True),
    ],
)
def test_other_processes(nvml: Nvml, pids: list[int], shared: bool) -> None:
    nvml.pids = pids
    assert looked()["gpu_shared"] is shared


@pytest.mark.parametrize(
    ("cuda", "visible", "found"),
    [
        (UUID, "1", f"GPU-{UUID}"),  # CUDA counts the fastest first, NVML by the bus: its UUID is the word
        (None, "1", "index 1"),
        (None, "1,0", "index 1"),
        (None, None, "index 0"),
        (None, f"GPU-{UUID}", f"GPU-{UUID}"),
        (None, f"MIG-{UUID}", f"MIG-{UUID}"),
        ("00000000-0000-0000-0000-000000000000", "1", "index 1"),
        (None, "7", None),
        (None, "", None),
        (None, "NoDevFiles", None),
    ],
)
def test_which_gpu_it_is(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch, cuda: str | None, visible: str | None, found: str | None
) -> None:
    monkeypatch.setattr(gpu, "_cuda_uuid", lambda: cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    that = gpu.find()
    assert (that.uuid if that else None) == found


def test_cudas_uuid_is_written_as_nvml_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(into: Any, device: int) -> int:
        assert device == 0
        into[:] = list(bytes.fromhex(UUID.replace("-", "")))
        return 0

    cuda = SimpleNamespace(cuInit=lambda _: 0, cuDeviceGetUuid=told)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: cuda)
    assert gpu._cuda_uuid() == UUID
    cuda.cuInit = lambda _: 100  # no device
    assert gpu._cuda_uuid() is None


def test_several_looks_as_one(nvml: Nvml) -> None:
    looks = [looked()]
    nvml.used, nvml.busy, nvml.clock, nvml.reasons, nvml.pids = 2**31, 50, 1200, 0x4 | 0x40, [os.getpid(), 1]
    looks.append(looked())
    nvml.used, nvml.busy, nvml.clock, nvml.reasons, nvml.pids = 2**29, 99, 1500, 0x4, [os.getpid()]
    looks.append(looked())
    one = gpu.together(looks)
    assert one == gpu.together([gpu.together(looks[:2]), {}, looks[2]])  # segment by segment
    assert (one["gpu_memory_used_bytes"], one["gpu_clock_mhz"], one["gpu_shared"]) == (2**31, 1200, True)
    assert (one["gpu_utilisation_start"], one["gpu_utilisation_end"]) == (0.97, 0.99)
    assert (one["gpu_clock_start_mhz"], one["gpu_clock_end_mhz"]) == (1980, 1500)
    assert one["gpu_throttled"] == "power cap, hardware thermal slowdown"
    assert gpu.together([]) == gpu.together([{}, {}]) == {}


def test_the_real_library_has_what_is_asked_of_it() -> None:
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    fake = {name for name in dir(Nvml) if name.startswith("nvml") or name.startswith("NVML")}
    assert {name for name in fake if not hasattr(pynvml, name)} == set()
