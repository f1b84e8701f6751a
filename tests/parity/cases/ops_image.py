"""keras.ops.image, and einops."""

from parity_kit import data, keras, np

from . import Expect, case
from .kit import flag, pick, seed

image = keras.ops.image


def number(rng, low, high):
    return int(rng.integers(low, high))


def shape_of(rng, c=None, low=3, high=9, first=False):
    h, w, c = number(rng, low, high), number(rng, low, high), c or number(rng, 1, 5)
    return (c, h, w) if first else (h, w, c)


def layout(first):
    return "channels_first" if first else "channels_last"


def draw(rng, shape, kind="float32"):
    x = rng.uniform(0, 1, (3, *shape))
    return (x * 255).astype(kind) if kind != "float32" else x.astype("float32")


def one(fn, x, expect=None):
    v = keras.Input(x.shape[1:], dtype=str(x.dtype))
    made = keras.Model(v, fn(v)), [x]
    return (*made, expect) if expect else made


@case("RGBToGrayscale", "op")
def grayscale(rng):
    first = flag(rng)
    x = draw(rng, shape_of(rng, pick(rng, 1, 3, 3), first=first))
    return one(lambda v: image.rgb_to_grayscale(v, data_format=layout(first)), x)


def colours(rng, first):
    x = draw(rng, shape_of(rng, 3, first=first))
    x[0] = np.round(x[0])  # greys and pure colours
    return x


@case("RGBToHSV", "op")
def rgb_to_hsv(rng):
    first = flag(rng)
    return one(lambda v: image.rgb_to_hsv(v, data_format=layout(first)), colours(rng, first))


@case("HSVToRGB", "op")
def hsv_to_rgb(rng):
    first = flag(rng)
    return one(lambda v: image.hsv_to_rgb(v, data_format=layout(first)), colours(rng, first))


INTERPOLATIONS = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic", "area")


@case("Resize", "op")
def resize(rng):
    first = flag(rng)
    kind = number(rng, 0, 4)
    config = {"crop_to_aspect_ratio": kind == 1, "pad_to_aspect_ratio": kind == 2, "fill_value": 0.3 * (kind == 2)}
    size = (number(rng, 1, 14), number(rng, 1, 14))
    method, antialias = pick(rng, *INTERPOLATIONS), flag(rng)
    x = draw(rng, shape_of(rng, first=first))
    if kind == 3 and method in ("nearest", "bilinear"):
        x = draw(rng, shape_of(rng, first=first), "uint8")
        size = (size[0] + 20, size[1])
    return one(lambda v: image.resize(v, size, method, antialias, data_format=layout(first), **config), x)


@case("AffineTransform", "op")
def affine(rng):
    first = flag(rng)
    x = draw(rng, shape_of(rng, first=first))
    t = np.array([1, 0, 0, 0, 1, 0, 0, 0]) + rng.normal(0, 1, (3, 8)) * [0.3, 0.3, 2, 0.3, 0.3, 2, 0.01, 0.01]
    t = t.astype("float32")
    config = {"interpolation": pick(rng, "nearest", "bilinear"), "data_format": layout(first),
              "fill_mode": pick(rng, "constant", "nearest", "wrap", "reflect"), "fill_value": pick(rng, 0, 0.7)}
    if flag(rng):
        return one(lambda v: image.affine_transform(v, t[0], **config), x)
    a, b = keras.Input(x.shape[1:]), keras.Input((8,))
    return keras.Model([a, b], image.affine_transform(a, b, **config)), [x, t]


@case("PerspectiveTransform", "op")
def perspective(rng):
    first = flag(rng)
    x = draw(rng, shape_of(rng, first=first, low=5))
    h, w = (x.shape[2:] if first else x.shape[1:3])
    corners = np.array([[0, 0], [w - 1, 0], [0, h - 1], [w - 1, h - 1]])
    start, end = [(corners + rng.uniform(-1, 1, (3, 4, 2))).astype("float32") for _ in range(2)]
    config = {"interpolation": "bilinear", "data_format": layout(first), "fill_value": pick(rng, 0, 0.7)}
    loose = Expect(atol=1e-4)  # the corners are solved for in float32 by TensorFlow
    if flag(rng):
        return *one(lambda v: image.perspective_transform(v, start[0], end[0], **config), x), loose
    v = [keras.Input(x.shape[1:]), keras.Input((4, 2)), keras.Input((4, 2))]
    return keras.Model(v, image.perspective_transform(*v, **config)), [x, start, end], loose


@case("ExtractPatches", "op")
def extract_patches(rng):
    n, dilation = pick(rng, 2, 2, 3), 1
    size = pick(rng, 2, 3, tuple(number(rng, 1, 4) for _ in range(n)))
    size = (size,) * n if isinstance(size, int) and n == 3 else size
    strides = pick(rng, None, 1, tuple(number(rng, 1, 4) for _ in range(n)))
    if strides == 1:
        dilation = pick(rng, 1, 2)
    strides = (1,) * n if strides == 1 and n == 3 else strides
    shape = (*[number(rng, 6, 9) for _ in range(n)], number(rng, 1, 4))
    pad = pick(rng, "valid", "same")
    return one(lambda v: image.extract_patches(v, size, strides, dilation, pad, data_format="channels_last"),
               draw(rng, shape))


def two_of(rng, a, b, c):
    return tuple((a, b, c) if i else None for i in range(3)) if False else [
        (None, b, c), (a, None, c), (a, b, None)][number(rng, 0, 3)]


@case("PadImages", "op")
def pad_images(rng):
    first = flag(rng)
    x = draw(rng, shape_of(rng, first=first), pick(rng, "float32", "int32"))
    h, w = (x.shape[2:] if first else x.shape[1:3])
    t, b, l, r = [number(rng, 0, 4) for _ in range(4)]
    top, bottom, height = two_of(rng, t, b, h + t + b)
    left, right, width = two_of(rng, l, r, w + l + r)
    return one(lambda v: image.pad_images(v, top, left, bottom, right, height, width, layout(first)), x)


@case("CropImages", "op")
def crop_images(rng):
    """Keras wants a known batch for it: NumPy's slices are the reference."""
    first = flag(rng)
    x = draw(rng, shape_of(rng, first=first, low=5))
    h, w = (x.shape[2:] if first else x.shape[1:3])
    t, b, l, r = [number(rng, 0, 3) for _ in range(4)]
    top, bottom, height = two_of(rng, t, b, h - t - b)
    left, right, width = two_of(rng, l, r, w - l - r)
    cut = (slice(t, h - b), slice(l, w - r))
    want = x[(slice(None), slice(None), *cut)] if first else x[(slice(None), *cut)]
    return one(lambda v: image.crop_images(v, top, left, bottom, right, height, width, layout(first)), x,
               Expect(outputs=[want]))


@case("GaussianBlur", "op")
def gaussian_blur(rng):
    first = flag(rng)
    size = (number(rng, 1, 6), number(rng, 1, 6))
    sigma = tuple(float(v) for v in rng.uniform(0.4, 2, 2))
    return one(lambda v: image.gaussian_blur(v, size, sigma, layout(first)), draw(rng, shape_of(rng, first=first)))


@case("SobelEdges", "op")
def sobel(rng):
    first = flag(rng)
    return one(lambda v: image.sobel_edges(v, data_format=layout(first)), draw(rng, shape_of(rng, first=first)))


@case("SSIM", "op")
def ssim(rng):
    first, size = flag(rng), number(rng, 2, 6)
    shape = shape_of(rng, first=first, low=6)
    a, b = keras.Input(shape), keras.Input(shape)
    x = draw(rng, shape)
    y = np.clip(x + rng.normal(0, 0.2, x.shape), 0, 1).astype("float32")
    return keras.Model([a, b], image.ssim(a, b, max_val=pick(rng, 1.0, 2.0), filter_size=size, filter_sigma=1.2, k1=0.02,
                                          k2=0.05, data_format=layout(first))), [x, y], Expect(atol=1e-4)


@case("ScaleAndTranslate", "op")
def scale_and_translate(rng):
    x = draw(rng, shape_of(rng))
    n = number(rng, 1, 3)
    dims = [int(v) + 1 for v in rng.permutation(2)[:n]]
    out = list(x.shape)
    for d in dims:
        out[d] = number(rng, 2, 12)
    scale = rng.uniform(0.4, 2.5, n).astype("float32")
    shift = rng.uniform(-1, 2, n).astype("float32")
    method = pick(rng, "linear", "bilinear", "cubic", "lanczos3", "lanczos5")
    v = keras.Input(x.shape[1:])
    y = image.scale_and_translate(v, tuple(out), scale, shift, tuple(dims), method, antialias=flag(rng))
    return keras.Model(v, y), [x], Expect(rtol=2e-4, atol=5e-5)


@case("Rearrange", "op")
def rearrange(rng):
    """Keras needs a known batch for it."""
    a, b, c = [number(rng, 1, 5) for _ in range(3)]
    pattern, shape, sizes = pick(
        rng, ("n a b c -> n c a b", (a, b, c), {}), ("n (a b) c -> n a (c b)", (a * b, c), {"a": a}),
        ("n (a b) c -> n b c a", (a * b, c), {"b": b}), ("n a b c -> n (a b c)", (a, b, c), {}),
        ("n a (b c) -> n (c a) b", (a, b * c), {"c": c}))
    v = keras.Input(batch_shape=(3, *shape))
    return keras.Model(v, keras.ops.rearrange(v, pattern, **sizes)), [data((3, *shape), seed(rng))]
