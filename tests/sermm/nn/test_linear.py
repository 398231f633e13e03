from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sermm.nn.linear import OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)


def two_of(size: int, *, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    """The same layer as torch has it, and by oneDNN."""
    torch.manual_seed(0)
    plain = nn.Linear(size, 7, bias=bias)
    holder = nn.Sequential(copy.deepcopy(plain))
    use_onednn(holder)
    assert type(holder[0]) is OneDnnLinear
    return plain, holder[0]


def grads(layer: nn.Linear, values: Tensor, *, summed: bool) -> tuple[Tensor, ...]:
    values = values.detach().clone().requires_grad_()
    product = layer(values)
    # the gradient of a sum has no memory of its own: all strides are zero
    above = torch.ones(()).expand_as(product) if summed else torch.arange(product.numel()) / 10.0
    inputs = [values, *layer.parameters()]
    return product, *torch.autograd.grad(product, inputs, above.view_as(product))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("summed", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 4, 5), (2, 1, 1), (2, 3, 4, 5)])
def test_products_and_gradients_are_those_of_torch(
    shape: tuple[int, ...], summed: bool, bias: bool
) -> None:
    plain, fast = two_of(shape[-1], bias=bias)
    values = torch.randn(shape)
    for given in (values, values.transpose(0, -1).contiguous().transpose(0, -1)):
        torch.testing.assert_close(
            grads(fast, given, summed=summed), grads(plain, given, summed=summed)
        )
        with torch.inference_mode():
            torch.testing.assert_close(fast(given), plain(given))


def test_only_what_needs_a_gradient_gets_one() -> None:
    _, fast = two_of(5)
    fast.requires_grad_(False)
    values = torch.randn(2, 5, requires_grad=True)
    fast(values).sum().backward()
    assert values.grad is not None
    assert fast.weight.grad is None
    assert not fast(values.detach()).requires_grad
    fast.bias.requires_grad_(True)
    fast(values.detach()).sum().backward()
    assert fast.weight.grad is None
    assert fast.bias.grad is not None


def test_no_row_and_other_precisions_go_the_usual_way() -> None:
    plain, fast = two_of(5)
    assert fast(torch.empty(0, 5)).shape == (0, 7)
    assert fast.double()(torch.ones(2, 5, dtype=torch.float64)).dtype == torch.float64
    fast.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fast(torch.ones(2, 5)), plain(torch.ones(2, 5)))
        assert fast(torch.ones(2, 5)).dtype == torch.bfloat16


def test_layers_of_a_class_of_their_own_are_left_alone() -> None:
    class Special(nn.Linear):
        pass

    weighted = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    module = nn.Sequential(Special(3, 3), weighted, nn.Sequential(nn.Linear(3, 3)))
    before = set(module.state_dict())
    use_onednn(module)
    assert [type(part) is OneDnnLinear for part in module] == [False, False, False]
    assert type(module[2][0]) is OneDnnLinear
    assert set(module.state_dict()) == before
    assert len(module(torch.ones(1, 3))[0]) == 3
