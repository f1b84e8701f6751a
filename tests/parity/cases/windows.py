"""Layers that move a window over space: convolutions, poolings; and those that change its size.
Keras' CPU cannot compute most of them in channels_first: the twin in channels_last is the reference."""

from . import Expect, case
from .kit import L, activation, channels, data, flag, layer_case, model_of, np, optional, pick, seed, sizes
from .kit import BATCH
from parity_kit import reference


def conv(rng, n):
    groups = pick(rng, 1, 1, 3)
    args = dict(filters=groups * int(rng.integers(1, 5)), kernel_size=sizes(rng, n, 1, 3),
                groups=groups, **optional(rng, use_bias=flag(rng), activation=activation(rng)))
    args["padding"] = pick(rng, "valid", "same", *(["causal"] if n == 1 else []))
    if groups == 1 and flag(rng):
        args["dilation_rate"] = sizes(rng, n, 1, 2)
    else:
        args["strides"] = sizes(rng, n, 1, 3)
    return args, sizes(rng, n, 5, 8) + (groups * int(rng.integers(1, 4)),)


def depthwise(rng, n):
    args = dict(kernel_size=sizes(rng, n, 1, 3), depth_multiplier=pick(rng, 1, 1, 2, 3),
                padding=pick(rng, "valid", "same"),
                **optional(rng, use_bias=flag(rng), activation=activation(rng)))
    if flag(rng):
        args["strides"] = int(rng.integers(1, 4))
    else:
        args["dilation_rate"] = int(rng.integers(1, 3))
    return args, sizes(rng, n, 6, 9) + (channels(rng),)


def separable(rng, n):
    args, shape = depthwise(rng, n)
    args["filters"] = channels(rng)
    return args, shape


def transpose(rng, n):
    stride = int(rng.integers(1, 4))
    kernel = sizes(rng, n, 1, 4)
    args = dict(filters=channels(rng), kernel_size=kernel, padding=pick(rng, "valid", "same"),
                **optional(rng, use_bias=flag(rng), activation=activation(rng)))
    if stride == 1 and n == 1 and flag(rng):  # TensorFlow's CPU dilates in one dimension only
        args["dilation_rate"] = 2
    else:
        args["strides"] = stride
    if stride > 1 and flag(rng):
        low = 1 if args["padding"] == "same" and any(k % 2 == 0 for k in kernel) else 0
        args["output_padding"] = int(rng.integers(low, stride))
    return args, sizes(rng, n, 3, 6) + (channels(rng),)


def pooling(rng, n):
    args = dict(pool_size=sizes(rng, n, 1, 3), padding=pick(rng, "valid", "same"))
    if flag(rng):
        args["strides"] = sizes(rng, n, 1, 3)
    return args, sizes(rng, n, 4, 8) + (channels(rng),)


def everything(rng, n):
    return optional(rng, keepdims=flag(rng)), sizes(rng, n, 1, 6) + (channels(rng),)


def sides(key):
    def settings(rng, n):
        form = rng.integers(3)
        value = [int(rng.integers(0, 3)), sizes(rng, n, 0, 2),
                 tuple(sizes(rng, 2, 0, 2) for _ in range(n))][form]
        if n == 1 and form > 0:
            value = sizes(rng, 2, 0, 2)
        return {key: value}, sizes(rng, n, 5, 8) + (channels(rng),)
    return settings


def enlarge(rng, n):
    args = dict(size=sizes(rng, n, 1, 3) if n > 1 else int(rng.integers(1, 4)))
    if n == 2:
        args["interpolation"] = pick(rng, "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    return args, sizes(rng, n, 2, 5) + (channels(rng),)


def adaptive(rng, n):
    shape = sizes(rng, n, 5, 11)
    return dict(output_size=tuple(int(rng.integers(2, s + 1)) for s in shape)), shape + (channels(rng),)


def flat(rng, n):
    return {}, sizes(rng, n, 1, 5) + (channels(rng),)


WINDOWS = {}
for i in (1, 2, 3):
    WINDOWS |= {
        f"Conv{i}D": (conv, i), f"Conv{i}DTranspose": (transpose, i),
        f"MaxPooling{i}D": (pooling, i), f"AveragePooling{i}D": (pooling, i),
        f"GlobalMaxPooling{i}D": (everything, i), f"GlobalAveragePooling{i}D": (everything, i),
        f"ZeroPadding{i}D": (sides("padding"), i), f"Cropping{i}D": (sides("cropping"), i),
        f"UpSampling{i}D": (enlarge, i),
        f"AdaptiveAveragePooling{i}D": (adaptive, i), f"AdaptiveMaxPooling{i}D": (adaptive, i),
    }
    if i < 3:
        WINDOWS |= {f"DepthwiseConv{i}D": (depthwise, i), f"SeparableConv{i}D": (separable, i)}
LAST_ONLY = ("Cropping1D", "ZeroPadding1D", "UpSampling1D")
WINDOWS["Flatten"] = (flat, 2)


def register(name, settings, n):
    @case(name)
    def one(rng):
        args, shape = settings(rng, n)
        make = getattr(L, name)
        formats = ("keras", "h5") if flag(rng, 0.3) else ("keras",)
        if flag(rng, 0.6) or name in LAST_ONLY:
            model, inputs = layer_case(make(**args), [shape], rng)
            return model, inputs, Expect(formats=formats)
        last = model_of(make(**args), [shape], rng)
        x = data((BATCH,) + shape, seed(rng))
        want = reference(last, [x])
        if want[0].ndim > 2:
            want = [np.moveaxis(want[0], -1, 1)]
        if args.get("padding") == "causal":
            return last, [x]
        if name == "Flatten":
            first = model_of(make(data_format="channels_first"), [shape[-1:] + shape[:-1]], rng)
        else:
            first = model_of(make(**args, data_format="channels_first"), [shape[-1:] + shape[:-1]], rng)
        first.set_weights(last.get_weights())
        return (first, [np.ascontiguousarray(np.moveaxis(x, -1, 1))],
                Expect(outputs=want, formats=formats))


for _name, (_settings, _n) in WINDOWS.items():
    register(_name, _settings, _n)
