"""What a run is computed on, and with how many bits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config, Free

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "no", "fp16", "bf16"]
SAME_MATHEMATICS = Free("the mathematics stays as it is; figures may differ by rounding")


def no_is_text(value: Any) -> Any:
    """YAML reads a bare `no` as false; where a choice is called no, it means the word."""
    return "no" if value is False else value


class DevicePrecision(Config):
    """The 16-bit types that may be used on one kind of device."""

    use_fp16: bool | None = None
    """Compute in float16 (gradients are scaled against underflow). CUDA only: not stable on MPS, not faster on CPUs."""
    use_bf16: bool | None = None
    """Compute in bfloat16. Needs an Ampere GPU or newer, or a CPU with AVX512-BF16 or AMX."""

    @model_validator(mode="after")
    def _one_type(self) -> Self:
        if self.use_fp16 and self.use_bf16:
            raise ValueError("use_fp16 and use_bf16 are both true; one 16-bit type is wanted")
        return self


class CudaPrecision(DevicePrecision):
    """The same for CUDA and ROCm, which also know TF32."""

    use_tf32: bool | None = None
    """Let float32 matrix products use TF32 tensor cores (10 bits of mantissa; Ampere or newer). Default: PyTorch's."""


class PrecisionConfig(Config):
    """One block per kind of device; only that of the device in use acts, and only where `mixed_precision` is auto."""

    cuda: CudaPrecision = CudaPrecision()
    """For CUDA and ROCm."""
    mps: DevicePrecision = DevicePrecision()
    """For Apple's GPUs."""
    cpu: DevicePrecision = DevicePrecision()
    """For the CPU."""


class OptimizationConfig(Config):
    """What is traded for memory."""

    gradient_checkpointing: Annotated[bool, SAME_MATHEMATICS] = False
    """Compute activations again in the backward pass instead of keeping them: 30-50 % less memory, 20 % slower."""
    mixed_precision: Annotated[Precision, BeforeValidator(no_is_text)] = "auto"
    """no computes in float32; fp16, bf16 in that type; auto asks `precision` of the device, then takes bf16 where the
    hardware has it, else fp16 on CUDA and float32 elsewhere."""
    activation_cache_gb: Annotated[float, Field(ge=0), SAME_MATHEMATICS] = 8.0
    """Most GiB of disk, in the run folder and for as long as the run lasts, for what frozen layers below the first
    trained one (`method.layers_to_transform`) make of each row: computed once, read in later epochs and evaluations.
    Rows beyond it are computed each time; half of what is free is taken at most; 0 computes all layers in every epoch.
    Default: room for a million tokens of an 8 B model (4,096 wide, 16 bits)."""


class HardwareConfig(Config):
    """The device, its memory, and the precision on it."""

    device: Annotated[Device, SAME_MATHEMATICS] = "auto"
    """cuda (ROCm too), mps, cpu; auto takes the first of these that is there. One that is not there is an error."""
    memory_gb: Annotated[Annotated[float, Field(gt=0)] | None, Free("`setup` alone reads it")] = None
    """Memory in GiB that the strategy was made for: `setup` warns when the device has less. Default: not checked."""
    precision: PrecisionConfig = PrecisionConfig()
    """16-bit types by kind of device."""
    optimization: OptimizationConfig = OptimizationConfig()
    """Memory for time."""

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        wanted = self.optimization.mixed_precision
        if self.device == "auto" or wanted in ("auto", "no"):
            return self
        if getattr(getattr(self.precision, self.device), f"use_{wanted}") is False:
            raise ValueError(f"mixed_precision is {wanted} but precision.{self.device}.use_{wanted} is false")
        return self

    def mixed_precision_on(self, device: Literal["cuda", "mps", "cpu"]) -> Precision:
        """What the strategy asks for on that device; auto where it leaves the choice to what the hardware can do."""
        if self.optimization.mixed_precision != "auto":
            return self.optimization.mixed_precision
        allowed: DevicePrecision = getattr(self.precision, device)
        if allowed.use_bf16:
            return "bf16"
        if allowed.use_fp16:
            return "fp16"
        return "no" if allowed.use_fp16 is False and allowed.use_bf16 is not None else "auto"
