"""Preprocessing layers of images. Random ones hand their input on at inference."""

from parity_kit import data, keras, np

from . import Expect, case
from .kit import flag, pick, seed

L = keras.layers


def number(rng, low, high):
    return int(rng.integers(low, high))


def pixels(rng, first=False, high=255, low=4, c=None):
    h, w, c = number(rng, low, 12), number(rng, low, 12), c or number(rng, 1, 4)
    return (rng.uniform(0, high, (3, *((c, h, w) if first else (h, w, c))))).astype("float32")


def one(layer, x, expect=None):
    v = keras.Input(x.shape[1:], dtype=str(x.dtype))
    made = keras.Model(v, layer(v)), [x]
    return (*made, expect) if expect else made


def layout(first):
    return "channels_first" if first else "channels_last"


@case("Resizing")
def resizing(rng):
    first, kind = flag(rng), number(rng, 0, 3)
    layer = L.Resizing(number(rng, 1, 14), number(rng, 1, 14),
                       interpolation=pick(rng, "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5"),
                       crop_to_aspect_ratio=kind == 1, pad_to_aspect_ratio=kind == 2, fill_value=7.0 * (kind == 2),
                       antialias=flag(rng), data_format=layout(first))
    return one(layer, pixels(rng, first))


@case("CenterCrop")
def center_crop(rng):
    first = flag(rng)
    return one(L.CenterCrop(number(rng, 1, 14), number(rng, 1, 14), data_format=layout(first)), pixels(rng, first))


def value_range(rng):
    return pick(rng, (0, 255), (0, 1), (-1, 1))


@case("AutoContrast")
def auto_contrast(rng):
    low, high = value_range(rng)
    x = pixels(rng, high=1) * (high - low) + low
    x[0, ..., 0] = x[0, 0, 0, 0]  # nothing to stretch
    return one(L.AutoContrast(value_range=(low, high)), x.astype("float32"), Expect(rtol=2e-4, atol=1e-4))


@case("ContrastLimitedAdaptiveHistogramEqualization")
def clahe(rng):
    first = flag(rng)
    low, high = value_range(rng)
    grid = (number(rng, 1, 4), number(rng, 1, 4))
    x = pixels(rng, first, high=1, low=8) * (high - low) + low
    layer = L.ContrastLimitedAdaptiveHistogramEqualization(
        value_range=(low, high), clip_limit=pick(rng, 4.0, 1.5, 40.0, 0.0), tile_grid_size=grid,
        data_format=layout(first))
    return one(layer, x.astype("float32"), Expect(rtol=2e-4, atol=2e-4 * (high - low)))


RANDOM = {
    "AugMix": lambda rng: L.AugMix(), "CutMix": lambda rng: L.CutMix(), "MixUp": lambda rng: L.MixUp(),
    "RandAugment": lambda rng: L.RandAugment(),
    "RandomBrightness": lambda rng: L.RandomBrightness(0.3), "RandomContrast": lambda rng: L.RandomContrast(0.3),
    "RandomColorDegeneration": lambda rng: L.RandomColorDegeneration(0.5),
    "RandomColorJitter": lambda rng: L.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1),
    "RandomCrop": lambda rng: L.RandomCrop(3, 2), "RandomElasticTransform": lambda rng: L.RandomElasticTransform(),
    "RandomErasing": lambda rng: L.RandomErasing(), "RandomFlip": lambda rng: L.RandomFlip(),
    "RandomGaussianBlur": lambda rng: L.RandomGaussianBlur(), "RandomGrayscale": lambda rng: L.RandomGrayscale(),
    "RandomHue": lambda rng: L.RandomHue(0.2), "RandomInvert": lambda rng: L.RandomInvert(0.7),
    "RandomPerspective": lambda rng: L.RandomPerspective(), "RandomPosterization": lambda rng: L.RandomPosterization(3),
    "RandomRotation": lambda rng: L.RandomRotation(0.2), "RandomSaturation": lambda rng: L.RandomSaturation(0.5),
    "RandomSharpness": lambda rng: L.RandomSharpness(0.5), "RandomShear": lambda rng: L.RandomShear(0.2, 0.1),
    "RandomTranslation": lambda rng: L.RandomTranslation(0.2, 0.1), "RandomZoom": lambda rng: L.RandomZoom(0.3),
    "Solarization": lambda rng: L.Solarization(0.2, 0.3),
}


def nothing(name, make):
    """Bytes become floats, as predict() casts them."""
    @case(name)
    def drawn(rng):
        x = pixels(rng, c=3)
        if flag(rng):
            return one(make(rng), x)
        return one(make(rng), x.astype("uint8"), Expect(outputs=[x.astype("uint8").astype("float32")]))


for _name, _make in RANDOM.items():
    if hasattr(L, _name):
        nothing(_name, _make)


@case("Pipeline")
def pipeline(rng):
    stages = [L.Rescaling(1 / 127.5, -1.0), L.RandomFlip(), L.Resizing(number(rng, 2, 9), number(rng, 2, 9)),
              L.CenterCrop(3, 3), L.RandomContrast(0.3), L.ReLU()]
    chosen = [stages[i] for i in sorted(rng.permutation(len(stages))[:number(rng, 1, 5)])]
    return one(L.Pipeline(chosen), pixels(rng, c=3))


@case("MaxNumBoundingBoxes")
def max_boxes(rng):
    n = number(rng, 1, 7)
    shapes = {"boxes": (n, 4), "labels": (n,), "images": (5, 4, 3)}
    v = {k: keras.Input(s, name=k) for k, s in shapes.items()}
    y = L.MaxNumBoundingBoxes(number(rng, 1, 7), bounding_box_format="xyxy")(
        {"images": v["images"], "bounding_boxes": {"boxes": v["boxes"], "labels": v["labels"]}})
    return keras.Model(v, y), [data((3, *shapes[k]), seed(rng)) for k in sorted(shapes)]
