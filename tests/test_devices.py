"""Which device and number format are used, for hardware that is not here too."""

from __future__ import annotations

import platform
from collections.abc import Callable

import pytest
import torch

from facenet import devices
from facenet.devices import DEVICES, PRECISIONS, Choice, choose_device, choose_precision, torch_dtype
from facenet.errors import UsageError

Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Make this machine have other hardware."""

    def change(*, cuda: bool = False, mps: bool = False, gpu_bf16: bool = False, cpu_bf16: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Made-up 9000")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu_bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(devices, "_cpu_multiplies_bf16", lambda: cpu_bf16)

    return change


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_there_is(pretend: Pretend, cuda: bool, mps: bool, expected: str) -> None:
    pretend(cuda=cuda, mps=mps)
    choice = choose_device()
    assert choice == choose_device("auto") and choice.value == expected
    assert choice.reason and str(choice) == f"{expected} ({choice.reason})"


def test_the_reason_names_the_gpu(pretend: Pretend) -> None:
    pretend(cuda=True)
    assert choose_device().reason == "Made-up 9000"


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_never_replaced(pretend: Pretend, wanted: str) -> None:
    pretend()
    with pytest.raises(UsageError, match=f"--device {wanted}: no usable"):
        choose_device(wanted)


def test_a_device_asked_for_is_taken(pretend: Pretend) -> None:
    pretend(cuda=True, mps=True)
    for wanted in ("cpu", "cuda", "mps"):
        assert choose_device(wanted) == Choice(wanted, "asked for")


@pytest.mark.parametrize(
    ("device", "has_units", "expected"),
    [
        ("cuda", True, "bf16"),
        ("cuda", False, "fp32"),
        ("cpu", True, "bf16"),
        ("cpu", False, "fp32"),
        ("mps", True, "fp32"),
    ],
)
def test_auto_takes_bfloat16_where_the_hardware_has_it(
    pretend: Pretend, device: str, has_units: bool, expected: str
) -> None:
    pretend(cuda=True, mps=True, gpu_bf16=has_units, cpu_bf16=has_units)
    choice = choose_precision("auto", device)
    assert choice.value == expected and choice.reason


def test_a_precision_asked_for_is_taken_unless_it_makes_no_sense(pretend: Pretend) -> None:
    pretend()
    for wanted in ("fp32", "bf16"):
        assert choose_precision(wanted, "cpu").value == wanted
    assert choose_precision("fp16", "cuda").value == "fp16"
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        choose_precision("fp16", "cpu")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown device 'tpu': choose one of auto, cpu, cuda, mps"):
        choose_device("tpu")
    with pytest.raises(UsageError, match="unknown precision 'int8': choose one of auto, fp32, bf16, fp16"):
        choose_precision("int8")


def test_every_precision_but_auto_has_its_type() -> None:
    types = {precision: torch_dtype(precision) for precision in PRECISIONS if precision != "auto"}
    assert types == {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    assert "auto" in DEVICES


def test_a_cpu_of_another_make_is_not_asked_about_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert choose_precision("auto", "cpu").value == "fp32"


@pytest.mark.parametrize("machine", ["x86_64", "AMD64"])
@pytest.mark.parametrize(("amx", "avx512"), [(True, False), (False, True), (False, False)])
def test_a_cpu_has_bfloat16_units_if_it_has_either_kind(
    monkeypatch: pytest.MonkeyPatch, machine: str, amx: bool, avx512: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    assert choose_precision("auto", "cpu").value == ("bf16" if amx or avx512 else "fp32")


def test_a_torch_without_these_checks_means_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert choose_precision("auto", "cpu").value == "fp32"
