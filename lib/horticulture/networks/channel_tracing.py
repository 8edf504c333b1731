"""Find which channels of any module can be removed together, by tracing one forward pass.

Each tensor that the module computes gets a tensor of *labels* of the same shape. A convolution or linear
layer gives its outputs fresh labels. A function that only moves elements (views, concatenation, pooling) does
the same to their labels; an elementwise function keeps them; a sum or product of two tensors merges their
labels. Anything else that mixes channels (layer norm, attention, any function unknown here) pins them: they
cannot be removed, and the reason is kept. Tracing is not symbolic, so a module may branch on its data and use
a layer twice.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import BaseTorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from horticulture.networks.channel_labels import Labels, Trace, collapse, column_of, is_constant


def trace_module(module: nn.Module, images: Tensor) -> Trace:
    """Run the module once on these images, in evaluation mode, and report which channels can be removed.

    images: (batch, channels, height, width). The module is left unchanged.
    """
    training = module.training
    with torch.no_grad(), _Tracer(module.eval(), len(images)) as labels:
        output = module(images)
    macs = _count_macs(module, images)
    module.train(training)
    for tensor in tree_leaves(output):
        labels.pin(labels.of(tensor), "its channels are the network's output")
    return labels.result()._replace(macs=macs, channels_last=_takes_channels_last(module, images))


@torch.no_grad()
def _count_macs(module: nn.Module, images: Tensor) -> int:
    """The multiply-accumulates that torch counts for one image: convolutions and all products of matrices.

    They are extrapolated from two counts, as a module may refuse a single image. What is spent once, whatever
    the number of images, such as on computing weights, is in them.
    """
    macs = []
    # Under a mode, and with this backend, torch takes no fused path, whose products it would not count.
    with BaseTorchFunctionMode(), sdpa_kernel(SDPBackend.MATH):
        for count in (len(images), len(images) - 1):
            with FlopCounterMode(display=False) as counter:
                module(images[:count])
            macs.append(counter.get_total_flops() // 2)
    each = macs[0] - macs[1]
    return macs[0] - (len(images) - 1) * each


@torch.no_grad()
def _takes_channels_last(module: nn.Module, images: Tensor) -> bool:
    """Whether the module runs in channels-last memory; code that calls `view` may not."""
    last = torch.channels_last
    try:
        copy.deepcopy(module).eval().to(memory_format=last)(images.contiguous(memory_format=last))
    except RuntimeError:
        return False
    return True


class _Tracer(Labels):
    """While active, every function called does to the labels what it does to the tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(out)):
            return out
        name = getattr(func, "__name__", str(func))
        known = [leaf for leaf in tree_leaves((args, kwargs)) if self.of(leaf) is not None]
        if name in _WEIGHTED:
            _WEIGHTED[name](self, out, *args, **kwargs)
        elif known and name in _RULES:
            try:
                _RULES[name](self, func, out, args, kwargs)
            except (RuntimeError, TypeError, ValueError, LookupError, AssertionError):
                for tensor in known:
                    self.pin(self.of(tensor), f"{name} is called in an unsupported way")
        else:
            for tensor in known:
                self.pin(self.of(tensor), f"{name} mixes channels")
        return out


LabelRule = Callable[[Labels, Any, Any, Any, Any], None]


def _with_labels(labels: Labels, arguments: Any) -> Any:
    def labels_of(leaf: Any) -> Any:
        leaf_labels = labels.of(leaf)
        return leaf if leaf_labels is None else leaf_labels

    return tree_map(labels_of, arguments)


def _move(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """Move the labels as the elements are moved."""
    if func.__name__ == "view":  # labels have a memory layout of their own
        func = torch.Tensor.reshape
    moved = func(*_with_labels(labels, args), **_with_labels(labels, kwargs))
    for tensor, part in zip(tree_leaves(out), tree_leaves(moved), strict=True):
        labels.set(tensor, part.long())


def _elementwise(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """Elementwise: the labels stay."""
    all_labels = (labels.of(leaf) for leaf in tree_leaves((args, kwargs)))
    labels.set(out, next(leaf_labels for leaf_labels in all_labels if leaf_labels is not None))


def _join(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """Concatenate. Tensors without labels belong to no channel."""

    def part(tensor: Tensor) -> Tensor:
        tensor_labels = labels.of(tensor)
        return torch.full(tensor.shape, -1) if tensor_labels is None else tensor_labels

    parts = args[0] if args else kwargs["tensors"]
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    labels.set(out, func([part(tensor) for tensor in parts], dim))


def _pad(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """Padding within a channel belongs to it; channels added by padding belong to no group."""
    x, pad = args[0], args[1] if len(args) > 1 else kwargs["pad"]
    if len(pad) <= 2 * (x.dim() - 2):
        _pool(labels, func, out, args, kwargs)
    else:
        x_labels = labels.of(x)
        assert x_labels is not None
        labels.set(out, torch.nn.functional.pad(x_labels, pad, value=-1))


def _pool(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """Works within each channel: (batch, channel, ...) to (batch, channel, ...)."""
    x_labels = labels.of(args[0] if args else kwargs["input"])
    assert x_labels is not None
    column = column_of(x_labels, 1) if x_labels.dim() > 2 else None
    tensor = tree_leaves(out)[0]
    if column is None or tensor.dim() < 3 or tensor.shape[1] != len(column):
        labels.pin(x_labels, f"{func.__name__} mixes channels")
    else:
        labels.set(tensor, column.view(-1, *[1] * (tensor.dim() - 2)))


def _reduce(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """A sum or mean over dimensions along which all labels must be equal."""
    x_labels = labels.of(args[0] if args else kwargs["input"])
    assert x_labels is not None
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(x_labels.dim()))
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    if not all(is_constant(x_labels, dim) for dim in dims):
        labels.pin(x_labels, f"{func.__name__} mixes channels")
        return
    for dim in sorted((dim % x_labels.dim() for dim in dims), reverse=True):
        x_labels = x_labels.narrow(dim, 0, 1) if keep else x_labels.select(dim, 0)
    labels.set(out, x_labels)


def _norm(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
    """One parameter per channel of (batch, channel, ...): batch norm and the like."""
    x, *others = args
    x_labels = labels.of(x)
    assert x_labels is not None
    column = column_of(x_labels, 1)
    if column is None:
        labels.pin(x_labels, f"{func.__name__} mixes channels")
        return
    for parameter in [*others, *kwargs.values()]:
        if isinstance(parameter, Tensor) and parameter.numel() > 1:
            labels.mark(parameter, 0, column)
    labels.set(out, x_labels)


def _combine(product: bool) -> LabelRule:
    """A sum or product of two tensors, or of a tensor and a number."""

    def rule(labels: Labels, func: Any, out: Any, args: Any, kwargs: Any) -> None:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        labelled = [labels.of(tensor) for tensor in tensors]
        known = [tensor_labels for tensor_labels in labelled if tensor_labels is not None]
        if len(tensors) == len(known) == 2:
            labels.join(known[0], known[1], product)
            labels.set(out, max(known, key=lambda tensor_labels: len(collapse(tensor_labels).unique())))
            return
        for tensor, tensor_labels in zip(tensors, labelled, strict=True):
            if tensor_labels is None and tensor.numel() > 1:
                full = known[0].broadcast_to(out.shape)
                labels.constant(full, tensor, f"{func.__name__} with a tensor that differs by channel")
        labels.set(out, known[0])

    return rule


def _conv(labels: Labels, out: Tensor, *args: Any, **kwargs: Any) -> None:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    named = dict(zip(names, args, strict=False)) | kwargs
    x, weight = named["input"], named["weight"]
    labels.layer(x, weight, named.get("bias"), out, 1 - out.dim(), named.get("groups", 1))


def _linear(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:
    labels.layer(x, weight, bias, out, -1)


def _transposed(labels: Labels, out: Tensor, x: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> None:
    labels.positions[labels.names.get(id(weight), "")] += x.numel() // (labels.batch * weight.shape[0])
    labels.pin(labels.of(x), "a transposed convolution reads it")


def _attention(labels: Labels, out: Any, query: Tensor, *args: Any, **kwargs: Any) -> None:
    for weight in [*args, *kwargs.values()]:
        name = labels.names.get(id(weight), "") if isinstance(weight, Tensor) else ""
        if name.endswith("weight"):
            labels.positions[name] += query.shape[0] * query.shape[1] // labels.batch
    for tensor in (query, *args):
        labels.pin(labels.of(tensor), "attention mixes channels")


_WEIGHTED: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _transposed),
    "linear": _linear,
    "multi_head_attention_forward": _attention,
}
_MOVING = """__get__ view view_as reshape flatten unflatten transpose permute chunk split unbind squeeze
unsqueeze expand expand_as swapaxes swapdims movedim narrow select __getitem__ channel_shuffle
pixel_shuffle roll flip tile repeat"""
_ELEMENTWISE = """relu relu_ relu6 hardtanh hardtanh_ hardswish hardswish_ hardsigmoid hardsigmoid_ silu silu_
sigmoid sigmoid_ gelu tanh tanh_ leaky_relu leaky_relu_ elu elu_ selu celu mish softplus softsign
hardshrink softshrink threshold logsigmoid tanhshrink clamp clamp_ clip abs neg __neg__ square sqrt rsqrt
exp log pow __pow__ erf dropout dropout_ dropout1d dropout2d alpha_dropout feature_dropout contiguous clone
detach to type_as float double half bfloat16 requires_grad_"""
_POOLING = """max_pool1d max_pool2d _max_pool2d max_pool2d_with_indices avg_pool1d avg_pool2d
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d lp_pool2d interpolate
upsample boolean_dispatch"""
_PRODUCTS = "mul mul_ multiply __mul__ __imul__ __rmul__ div div_ true_divide __truediv__ __itruediv__"
_SUMS = "add add_ __add__ __iadd__ __radd__ sub sub_ __sub__ __isub__ __rsub__ rsub maximum minimum"
_RULES: dict[str, LabelRule] = {
    **dict.fromkeys(_MOVING.split(), _move),
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_POOLING.split(), _pool),
    **dict.fromkeys(("mean", "sum", "amax", "amin"), _reduce),
    **dict.fromkeys(("batch_norm", "instance_norm", "prelu"), _norm),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), _join),
    **dict.fromkeys(_PRODUCTS.split(), _combine(product=True)),
    **dict.fromkeys(_SUMS.split(), _combine(product=False)),
    "pad": _pad,
}
