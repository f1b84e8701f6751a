"""Whole networks of keras.applications: logits and probabilities against the real Keras.

Inputs are smaller than the networks' own to save time; batch-norm statistics come from real
activations and are then disturbed, so that every layer matters.
"""

import gc

import pytest
from parity_kit import (BACKENDS, LIMIT, distance, execute, keras, note_case, np, randomise, reference,
                        spread)

A = keras.applications
NETWORKS = [  # constructor, input size, what its weights were trained with
    ("ResNet50", 96, "caffe"),
    ("ResNet50V2", 96, "tf"),
    ("MobileNet", 96, "tf"),
    ("MobileNetV2", 96, "tf"),
    ("MobileNetV3Small", 96, "none"),
    ("MobileNetV3Large", 96, "none"),
    ("EfficientNetB0", 96, "none"),
    ("DenseNet121", 64, "torch"),
    ("InceptionV3", 96, "tf"),
    ("NASNetMobile", 64, "tf"),
    ("EfficientNetV2B0", 64, "none"),
    ("ConvNeXtTiny", 64, "none"),
    ("MobileNet-quarter", 64, "tf"),
    ("MobileNetV2-wide", 64, "tf"),
    ("MobileNetV3Small-minimalistic", 64, "none"),
]
# The others of the 40 take too long, or too much memory, for every change.
LARGE = [("Xception", 96, "tf"), ("InceptionResNetV2", 96, "tf"), ("NASNetLarge", 64, "tf")]
LARGE += [(f"VGG{n}", 48, "caffe") for n in (16, 19)]
LARGE += [(f"ResNet{n}", 64, "caffe") for n in (101, 152)]
LARGE += [(f"ResNet{n}V2", 64, "tf") for n in (101, 152)]
LARGE += [(f"DenseNet{n}", 64, "torch") for n in (169, 201)]
LARGE += [(f"EfficientNetB{n}", 64, "none") for n in range(1, 8)]
LARGE += [(f"EfficientNetV2{n}", 64, "none") for n in ("B1", "B2", "B3", "S", "M", "L")]
LARGE += [(f"ConvNeXt{n}", 64, "none") for n in ("Small", "Base", "Large", "XLarge")]
ALL = NETWORKS + [pytest.param(*n, marks=pytest.mark.long) for n in LARGE]
OPTIONS = {"MobileNet-quarter": {"alpha": 0.25}, "MobileNetV2-wide": {"alpha": 1.3},
           "MobileNetV3Small-minimalistic": {"minimalistic": True}}


def images(n, size):
    """Smooth pictures with edges, 0 to 255: noise alone would look the same to every filter."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.empty((n, size, size, 3), "float32")
    for i in range(n):
        for c in range(3):
            a, b, p = rng.uniform(1, 14, 3)
            out[i, ..., c] = 127 + 90 * np.sin(a * x + b * y + p) + rng.normal(0, 15, x.shape)
        out[i, : size // (i + 2), :, i % 3] *= 0.3
    return np.clip(out, 0, 255).round()


def build(name, size):
    keras.utils.clear_session()
    base = getattr(A, name.split("-")[0])(weights=None, input_shape=(size, size, 3), classes=200,
                            classifier_activation=None, **OPTIONS.get(name, {}))
    randomise(base)
    last = [l for l in base.layers if l.get_weights()][-1]
    last.kernel.assign(last.kernel * 0.3)  # logits that leave more than one probability alive
    model = keras.Model(base.inputs, [base.output, keras.layers.Softmax(name="probabilities")(base.output)],
                        name=base.name)
    return model


def scaled(x, mode):
    return x if mode == "none" else A.imagenet_utils.preprocess_input(x.copy(), mode=mode)


@pytest.mark.parametrize("name, size, mode", ALL, ids=[n for n, _, _ in NETWORKS + LARGE])
def test_network(name, size, mode, tmp_path):
    model = build(name, size)
    x = images(3, size)
    spread(model, scaled(images(8, size), mode))
    want = reference(model, [scaled(x, mode)])
    # Two pictures must give different logits, by far more than the limit, else it would see little.
    assert np.std(want[0], axis=0).mean() > 0.005 * np.std(want[0])
    worst = 0.0
    runs = [("keras", b) for b in BACKENDS] + [("h5", BACKENDS[-1])]
    for fmt, backend in runs:
        path = tmp_path / f"m.{fmt}"
        if not path.exists():
            model.save(path)
        rows = 1 if backend == "ref" else 3
        got = execute(path, [x[:rows]], tmp_path, backend, "--preprocess", "auto")
        for g, w in zip(got, want):
            d = distance(g, w[:rows])
            assert d <= LIMIT[backend], f"{fmt} on {backend}: relative L2 {d:.3g}"
            print(f"{name} {fmt} {backend}: {d:.2g}")
            worst = max(worst, float(np.max(np.abs(g - w[:rows]) / (0.1 + np.abs(w[:rows])))))
        for old in tmp_path.glob("m.*"):
            if old.suffix != ".keras":
                old.unlink()
    note_case("application", name, 0, worst)
    del model
    gc.collect()


def test_a_name_alone_is_not_an_application(tmp_path):
    """The scaling of pixels is only chosen for the architecture that the name promises."""
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(5, 3, name="block1_conv1")(x)
    model = randomise(keras.Model(x, keras.layers.GlobalMaxPooling2D()(y), name="vgg16"))
    model.save(tmp_path / "m.keras")
    a = images(2, 8)
    got = execute(tmp_path / "m.keras", [a], tmp_path, "ref", "--preprocess", "auto")
    assert distance(got[0], reference(model, [a])[0]) < 1e-5


def test_an_application_that_scales_itself(tmp_path):
    """ResNet50 behind a Rescaling gets its pixels as they are."""
    base = A.ResNet50(weights=None, input_shape=(32, 32, 3), include_top=False, pooling="avg")
    x = keras.Input((32, 32, 3))
    y = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(x))
    model = randomise(keras.Model(x, y, name="resnet50"))
    spread(model, images(4, 32))
    model.save(tmp_path / "m.keras")
    a = images(1, 32)
    got = execute(tmp_path / "m.keras", [a], tmp_path, BACKENDS[-1], "--preprocess", "auto")
    assert distance(got[0], reference(model, [a])[0]) < 1e-4
