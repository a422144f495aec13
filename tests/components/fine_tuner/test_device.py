"""Which device and precision a run gets."""

from __future__ import annotations

import pytest
import torch

from furrow.components.fine_tuner.pytorch import device
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig


@pytest.mark.parametrize(
    ("on_cpu", "wanted"),
    [
        ("{}", "bf16"),
        ('{"use_bf16": false}', "no"),
        ('{"use_bf16": true}', "bf16"),
        ('{"use_fp16": false}', "bf16"),
    ],
)
def test_auto_takes_bf16_where_the_hardware_has_it_and_it_is_not_forbidden(on_cpu, wanted, monkeypatch):
    monkeypatch.setattr(device, "_has_bf16", lambda name: True)
    hardware = HardwareConfig.model_validate_json(f'{{"device": "cpu", "precision": {{"cpu": {on_cpu}}}}}')
    assert device.choose(hardware).accelerate_precision == wanted


def test_a_gpu_that_does_not_tell_its_idle_time_does_not_end_the_run(monkeypatch):
    class NotSupported(Exception):
        """As the management library's own error: no RuntimeError."""

    def utilization(where):
        raise NotSupported

    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    assert device.idle_share(torch.device("cuda")) is None
