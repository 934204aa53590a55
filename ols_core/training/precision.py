"""Which device and precision to train with, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ols_core.config import Device, Precision
from ols_core.errors import ArgumentError

__all__ = ["Hardware", "bf16_gradients_are_wrong", "choose_hardware"]

_FabricPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
_FABRIC_PRECISION: dict[str, _FabricPrecision] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


@dataclass(frozen=True)
class Hardware:
    """The device and precision in use; `reason` says why, for the user."""

    device: str
    precision: str
    reason: str

    def fabric(self) -> Fabric:
        """Fabric on this device, joined with the other processes if a launcher started several.

        Raises
        ------
        ArgumentError
            If `fabric run` was told another device or precision.
        """
        if self.device == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32
            torch.backends.cudnn.benchmark = True
        precision = _FABRIC_PRECISION[self.precision]
        if os.environ.get("LT_CLI_USED") == "1":
            # `fabric run` tells Fabric the processes through the environment, and joins them.
            try:
                return Fabric(accelerator=self.device, precision=precision)
            except ValueError as error:
                raise ArgumentError(
                    "fabric run: leave --accelerator and --precision out, or give the options "
                    f"--device and --precision of the training the same values. {error}"
                ) from None
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        of_this_node = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
        fabric = Fabric(
            accelerator=self.device,
            strategy="ddp" if processes > 1 else "auto",
            devices=of_this_node,
            num_nodes=processes // of_this_node,
            precision=precision,
        )
        fabric.launch()
        return fabric


def choose_hardware(device: Device, precision: Precision) -> Hardware:
    """Resolve `auto` to what is faster where it is safe.

    bf16 is chosen only where the hardware computes it: a CPU without AVX512-BF16 or AMX runs
    bf16 convolutions more than ten times slower than fp32.

    Raises
    ------
    ArgumentError
        If the device is absent, or the precision does not work on it.

    Examples
    --------
    >>> choose_hardware("cpu", "fp32")
    Hardware(device='cpu', precision='fp32', reason='as asked')
    """
    chosen = _present_device() if device == "auto" else device
    if chosen == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device: cuda was asked for, but torch sees no CUDA device; use auto.")
    if chosen == "mps" and not torch.backends.mps.is_available():
        raise ArgumentError("device: mps was asked for, but torch sees no Apple GPU; use auto.")
    if precision == "fp16" and chosen == "cpu":
        raise ArgumentError("precision: fp16 needs a GPU; use fp32 or bf16 on the CPU.")
    if precision != "auto":
        return Hardware(chosen, precision, "as asked")
    native, unit = _native_bf16(chosen)
    return Hardware(chosen, "bf16" if native else "fp32", unit)


def bf16_gradients_are_wrong(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Tell whether torch gets gradients of the network wrong in bf16 on the CPU.

    Of a convolution that strides over an image of a single pixel, torch 2.14 returns whatever was
    in memory as the gradient of the weights, up to 1e30 (Intel Xeon with AMX; 3×3 kernels,
    stride 2: in 111 of 120 trials, and never without stride or for more pixels).

    Parameters
    ----------
    network : nn.Module
        It is called once, in evaluation mode, and is in training mode afterwards.
    shape : tuple of int
        Channels, height and width of the images.

    Examples
    --------
    >>> deep = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1))
    >>> bf16_gradients_are_wrong(deep, (1, 2, 2)), bf16_gradients_are_wrong(deep, (1, 4, 4))
    (True, False)
    """
    wrong = []

    def look(module: nn.Conv2d, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        strides = max(module.stride) > 1 and max(module.kernel_size) > 1
        trained = module.weight.requires_grad
        wrong.append(trained and strides and inputs[0].shape[-2:].numel() == 1)

    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    hooks = [part.register_forward_hook(look) for part in convolutions]
    with torch.inference_mode():
        network.eval()(torch.zeros(2, *shape))
    for hook in hooks:
        hook.remove()
    network.train()
    return any(wrong)


def _present_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _native_bf16(device: str) -> tuple[bool, str]:
    if device == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported, f"this GPU {'computes' if supported else 'has no'} bf16"
    if device == "cpu":
        capabilities = cast(dict[str, object], torch.cpu.get_capabilities())
        units = {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}
        found = [label for key, label in units.items() if capabilities.get(key)]
        return bool(found), f"this CPU has {found[0] if found else 'no bf16 unit'}"
    return False, "bf16 is not used on this device"
