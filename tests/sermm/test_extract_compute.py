from __future__ import annotations

import pytest
import torch

from sermm.extract_compute import arithmetic


@pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning")  # on machines without
def test_single_precision_on_a_gpu_is_not_rounded_to_tf32() -> None:
    before = torch.backends.cudnn.allow_tf32
    with arithmetic(torch.device("cuda"), "32"):
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.is_autocast_enabled("cuda")
    assert torch.backends.cudnn.allow_tf32 is before


def test_half_precision_stays_what_it_is() -> None:
    layer = torch.nn.Linear(3, 2)
    with arithmetic(torch.device("cpu"), "bf16"):
        assert layer(torch.ones(1, 3)).dtype == torch.bfloat16
    with arithmetic(torch.device("cpu"), "32"):
        assert layer(torch.ones(1, 3)).dtype == torch.float32
