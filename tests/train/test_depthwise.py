"""The depthwise convolution of the training against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from eas_train.supernet.depthwise import depthwise_conv2d


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 12])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (7, 1), (11, 1), (3, 2), (3, 4), (5, 2)])
def test_result_and_gradients_are_those_of_torch(kernel: int, dilation: int, size: int, stride: int) -> None:
    torch.manual_seed(0)
    given = [torch.randn(4, 6, size, size, dtype=torch.float64), torch.randn(6, 1, kernel, kernel, dtype=torch.float64)]
    ours, theirs = ([t.clone().requires_grad_() for t in given] for _ in range(2))
    made = depthwise_conv2d(*ours, stride=stride, dilation=dilation)
    expected = F.conv2d(*theirs, None, stride, dilation * (kernel // 2), dilation, 6)
    torch.testing.assert_close(made, expected)
    weights = torch.randn_like(expected)
    made.mul(weights).sum().backward()
    expected.mul(weights).sum().backward()
    for mine, yours in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, yours.grad)


@pytest.mark.parametrize("wanted", [0, 1])
def test_only_the_gradient_that_is_needed_is_made(wanted: int) -> None:
    given = [torch.randn(2, 3, 8, 8), torch.randn(3, 1, 7, 7)]
    given[wanted].requires_grad_()
    depthwise_conv2d(*given).sum().backward()
    assert given[wanted].grad is not None
    assert given[1 - wanted].grad is None


@pytest.mark.parametrize("pads", [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (5, 1)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 1, 1), (5, 2, 1), (3, 2, 2)])
@pytest.mark.parametrize("size", [5, 8])
def test_other_padding_is_zeros_in_front_and_behind(
    pads: tuple[int, int], kernel: int, stride: int, dilation: int, size: int
) -> None:
    """With and without gradients; the symmetric padding that is also the default goes through the strips."""
    torch.manual_seed(0)
    given = [torch.randn(2, 4, size, size, dtype=torch.float64), torch.randn(4, 1, kernel, kernel, dtype=torch.float64)]
    ours, theirs = ([t.clone().requires_grad_() for t in given] for _ in range(2))
    made = depthwise_conv2d(*ours, stride=stride, dilation=dilation, pads=pads)
    framed = torch.zeros(2, 4, size + sum(pads), size + sum(pads), dtype=torch.float64)
    framed[..., pads[0] : pads[0] + size, pads[0] : pads[0] + size] = theirs[0]
    expected = F.conv2d(framed, theirs[1], None, stride, 0, dilation, 4)
    torch.testing.assert_close(made, expected)
    with torch.no_grad():
        torch.testing.assert_close(depthwise_conv2d(*given, None, stride, dilation, pads=pads), expected)
    weights = torch.randn_like(expected)
    made.mul(weights).sum().backward()
    expected.mul(weights).sum().backward()
    for mine, yours in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, yours.grad)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_in_mixed_precision_gradients_are_those_of_torch(kernel: int) -> None:
    torch.manual_seed(0)
    given = [torch.randn(4, 6, 12, 12), torch.randn(6, 1, kernel, kernel)]
    ours, theirs = ([t.clone().requires_grad_() for t in given] for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        made = depthwise_conv2d(*ours)
        expected = F.conv2d(*theirs, None, 1, kernel // 2, 1, 6)
    assert made.dtype == expected.dtype == torch.bfloat16
    for result in (made, expected):
        result.float().square().sum().backward()
    for mine, yours in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, yours.grad, rtol=0.05, atol=0.05 * float(yours.grad.abs().max()))
