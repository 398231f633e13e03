"""Whether torch.compile works here, found out before training begins."""

from __future__ import annotations

import torch
from torch import Tensor

from data_modules.errors import ConfigError


def expect_compiler(accelerator: str) -> None:
    """Compile something small where training will run; seconds, once a process.

    Args:
        accelerator: As ``trainer.accelerator`` says.

    Raises:
        ConfigError: It fails.
    """
    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    values = torch.ones(2, device="cpu" if on_cpu else "cuda")
    try:
        torch.compile(_probe)(values)
    except RuntimeError as error:
        raise ConfigError(
            "trainer.compile",
            expected="a compiler that torch.compile can use (g++ and the headers of Python)",
            got=str(error).partition("\n")[0],
            fix="install them, or set trainer.compile=false",
        ) from error


def _probe(values: Tensor) -> Tensor:
    return values + 1
