"""Which device and which number format a run really uses, and why. Nothing here keeps state."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from facenet.errors import UsageError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Choice:
    """A decision with its reason, to be shown to the person who runs the program."""

    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value} ({self.reason})"


def choose_device(wanted: str = "auto") -> Choice:
    """Pick the device: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: the device asked for is not there; a name asked for is never replaced by another.
    """
    if wanted not in DEVICES:
        raise UsageError(f"unknown device {wanted!r}: choose one of {', '.join(DEVICES)}")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "cuda" and not cuda:
        raise UsageError("--device cuda: no usable CUDA GPU here; use --device cpu or --device auto")
    if wanted == "mps" and not mps:
        raise UsageError("--device mps: no usable Apple GPU here; use --device cpu or --device auto")
    if wanted != "auto":
        return Choice(wanted, "asked for")
    if cuda:
        return Choice("cuda", torch.cuda.get_device_name(0))
    if mps:
        return Choice("mps", "Apple GPU")
    return Choice("cpu", f"no GPU found, {torch.get_num_threads()} threads")


def choose_precision(wanted: str = "auto", device: str = "cpu") -> Choice:
    """Pick the number format of the network's layers (distances, losses and heads are always float32).

    ``auto`` takes bfloat16 where the hardware multiplies it natively, else float32.

    Raises:
        UsageError: unknown name, or float16 on a CPU, where it is slower and less exact than everything else.
    """
    if wanted not in PRECISIONS:
        raise UsageError(f"unknown precision {wanted!r}: choose one of {', '.join(PRECISIONS)}")
    if wanted == "fp16" and device == "cpu":
        raise UsageError("--precision fp16 needs a GPU; on a CPU use bf16 or fp32")
    if wanted != "auto":
        return Choice(wanted, "asked for")
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Choice("bf16", "native on this GPU") if native else Choice("fp32", "this GPU has no bfloat16 units")
    if device == "cpu" and _cpu_multiplies_bf16():
        return Choice("bf16", "this CPU has bfloat16 units")
    return Choice("fp32", f"no bfloat16 units on this {device}")


def torch_dtype(precision: str) -> torch.dtype:
    """``fp32``, ``bf16`` or ``fp16`` → torch's type."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _cpu_multiplies_bf16() -> bool:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(bool(check()) for check in checks if check is not None)
