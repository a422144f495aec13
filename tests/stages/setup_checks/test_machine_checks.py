"""Packages, the machine and the disk."""

from __future__ import annotations

import ctypes
import importlib.metadata
import shutil
from collections import namedtuple

import pytest

from furrow.components.disk.sizes import GIB, readable
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig
from furrow.stages.setup_checks.accelerators import Gpu, amd_gpus, cuda_gpus
from furrow.stages.setup_checks.base_model import Found
from furrow.stages.setup_checks.device import Machine, check_machine, machine
from furrow.stages.setup_checks.disk import check_disk
from furrow.stages.setup_checks.model_files import Size
from furrow.stages.setup_checks.packages import check_packages
from furrow.stages.setup_checks.wired import wired_components
from furrow.strategies.files import load, load_all

AMPERE, TURING = Gpu("A100", 40 * GIB, (8, 0)), Gpu("T4", 16 * GIB, (7, 5))


def there(*gpus, flags=(), apple=False):
    return Machine("a CPU", 4, 16 * GIB, frozenset(flags), gpus, apple)


def asked(machine, torch="2.13.0", **hardware):
    checks = check_machine(machine, HardwareConfig.model_validate(hardware), torch)
    return {check.name: check for check in checks}


def precision(machine, choice, **hardware):
    return asked(machine, optimization={"mixed_precision": choice}, **hardware)["precision"]


def test_every_component_that_a_shipped_strategy_wires_is_found():
    for loaded in load_all():
        slots = [one.slot for one in wired_components(loaded.strategy)]
        assert slots.count("fine_tuner") == slots.count("model_app") == 1


def test_wired_are_reader_splitter_template_tuner_trackers_exporters_and_app():
    overrides = ("monitoring.log_tensorboard=true", "export.to_merged=true")
    wired = [(one.slot, one.type) for one in wired_components(load("demo_almanac", overrides=overrides).strategy)]
    assert wired == [
        ("dataset_reader", "jsonl"), ("dataset_splitter", "random"), ("prompt_template", "chat"),
        ("fine_tuner", "pytorch"), ("tracker", "jsonl"), ("tracker", "tensorboard"), ("exporter", "merged"),
        ("exporter", "gguf"), ("exporter", "ollama"), ("model_app", "transformers"),
    ]  # fmt: skip


def test_a_missing_package_and_a_wrong_version_are_named_with_what_installs_them(monkeypatch):
    wired = list(wired_components(load("demo_almanac").strategy))
    [fine] = check_packages(wired)
    assert fine.status == "passed"
    true_version = importlib.metadata.version

    def version(name):
        if name == "llama-cpp-python":
            raise importlib.metadata.PackageNotFoundError(name)
        return "4.57.0" if name == "transformers" else true_version(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    failed = {check.name: check for check in check_packages(wired) if check.status == "failed"}
    assert set(failed) == {"package llama-cpp-python", "package transformers"}
    assert failed["package llama-cpp-python"].remedy == "pip install 'furrow[llama-cpp]'"
    assert "4.57.0" in failed["package transformers"].found
    assert "transformers<6,>=5.23" in failed["package transformers"].remedy


def test_precision_is_judged_by_what_the_hardware_has():
    assert precision(there(), "fp16", device="cpu").status == "failed"
    assert precision(there(), "bf16", device="cpu").status == "warning"
    assert precision(there(flags=["avx512_bf16"]), "bf16", device="cpu").status == "passed"
    assert precision(there(TURING), "bf16", device="cuda").status == "failed"
    assert precision(there(AMPERE), "bf16", device="cuda").status == "passed"
    assert "bf16 on cuda" in precision(there(AMPERE), "auto").found
    assert "fp16 on cuda" in precision(there(TURING), "auto").found
    assert "float32 on mps" in precision(there(apple=True), "auto").found
    assert "precision" not in asked(there(), device="cuda")


def test_auto_comes_to_what_the_fine_tuner_takes():
    from furrow.components.fine_tuner.pytorch.device import choose

    placement = choose(HardwareConfig())
    wanted = {"no": "float32"}.get(placement.accelerate_precision, placement.accelerate_precision)
    assert asked(machine())["precision"].found == f"auto takes {wanted} on {placement.device.type}"


def test_gpu_memory_below_what_the_strategy_was_made_for_warns():
    assert asked(there(TURING), device="cuda", memory_gb=40)["GPU memory"].status == "warning"
    rtx_4090 = Gpu("RTX 4090", int(23.7 * GIB), (8, 9))
    assert asked(there(rtx_4090), device="cuda", memory_gb=24)["GPU memory"].status == "passed"


def test_a_torch_for_cpus_beside_a_gpu_is_found_out():
    assert asked(there(AMPERE), "2.13.0+cpu", device="cuda")["torch build"].status == "failed"
    assert asked(there(AMPERE), "2.13.0+cpu")["torch build"].status == "warning"
    assert "on cpu" in asked(there(AMPERE), "2.13.0+cpu")["precision"].found
    assert "torch build" not in asked(there(), "2.13.0+cpu")


def test_gpus_that_the_environment_hides_are_said(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert asked(there(), device="cuda")["GPU"].status == "failed"


class LibCuda:
    """libcuda's contract for two devices, as cuda.h has it."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device, number):
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name, length, device):
        name.value = f"H200 {device.value}".encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):
        assert isinstance(memory._obj, ctypes.c_size_t)
        memory._obj.value = 140 * GIB
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0


def test_cuda_devices_are_read_from_the_driver():
    assert list(cuda_gpus(LibCuda())) == [Gpu(f"H200 {number}", 140 * GIB, (9, 0)) for number in (0, 1)]


def test_a_driver_that_does_not_start_has_no_devices(monkeypatch):
    monkeypatch.setattr(LibCuda, "cuInit", lambda self, flags: 803)
    assert list(cuda_gpus(LibCuda())) == []


def test_amd_cards_are_read_from_the_driver_and_other_makers_are_not(tmp_path):
    for card, vendor in (("card0", "0x1002"), ("card1", "0x8086")):
        folder = tmp_path / card / "device"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "mem_info_vram_total").write_text(f"{64 * GIB}\n")
    assert list(amd_gpus(tmp_path)) == [Gpu("AMD GPU", 64 * GIB)]


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        # 1e9 parameters; by hand, in GB: 4 of weights and 4 a checkpoint, of which save_total_limit + 1 lie there
        (["method.type=full", "training_args.save_total_limit=1"], 2 * (4 + 8)),
        (["method.type=full", "training_args.save_strategy=no"], 4),
        (["method.type=full", "training_args.save_strategy=no", "export.to_merged=true"], 4 + 4),
        (["method.type=full", "training_args.save_strategy=no", "export.to_gguf=true"], 4 + 1.1 + 4),
        # LoRA r=4 of a model of hidden size 2,048: 2 · 4 / 2,048 of the parameters learn
        (["training_args.save_strategy=no"], 4 * 8 / 2048),
    ],
)
def test_room_is_weighed_against_weights_checkpoints_and_exports(overrides, needed, monkeypatch):
    base_overrides = ["training_args.eval_strategy=no", "training_args.load_best_model_at_end=false"]
    if "method.type=full" in overrides:
        overrides = [*overrides[1:], "components.fine_tuner.config.method={type: full}"]
        source = "seedling_pretrain"
        base_overrides.append("export.to_merged=false")
    else:
        source = "demo_minimal"
    strategy = load(source, overrides=[*base_overrides, *overrides]).strategy
    base = Found(strategy.fine_tuner.config.base_model, None, None, Size(4 * 10**9, 10**9))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed * 1e9 + 1e3))
    assert [check.status for check in check_disk(strategy, base)] == ["passed"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed * 1e9 - 1e3))
    assert [check.status for check in check_disk(strategy, base)] == ["failed"]


def test_sizes_are_readable():
    assert [readable(size) for size in (12, 3_400, 5.1e8, 6.44e9)] == ["12 bytes", "3 kB", "510 MB", "6.4 GB"]
