"""The summary's text against the real Keras, byte for byte, as it prints into a pipe."""

import ctypes
import json

import pytest
import summary_models
from parity_kit import BUILD, keras
from summary_models import application, efficient, fixed_batch, frozen_within
from test_parity_models import MODELS

L, K = keras.layers, keras


class Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("line_length", ctypes.c_int),
                ("expand_nested", ctypes.c_bool), ("show_trainable", ctypes.c_bool),
                ("cost", ctypes.c_bool), ("json", ctypes.c_bool)]


@pytest.fixture(scope="module")
def engine():
    lib = ctypes.CDLL(str(BUILD / "libkpredict-engine.so"))
    lib.kp_errmsg.restype = ctypes.c_char_p
    lib.kp_model_open.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_void_p]
    lib.kp_model_summary.argtypes = [ctypes.c_void_p, ctypes.POINTER(Options),
                                     ctypes.POINTER(ctypes.c_void_p)]
    lib.kp_model_close.argtypes = [ctypes.POINTER(ctypes.c_void_p)]
    lib.kp_free.argtypes = [ctypes.c_void_p]
    return lib


def ours(lib, path, line_length=None, **options):
    model, text = ctypes.c_void_p(), ctypes.c_void_p()
    o = Options(ctypes.sizeof(Options), line_length or 0)
    for k, v in options.items():
        setattr(o, k, v)
    assert lib.kp_model_open(model, str(path).encode(), None) == 0, lib.kp_errmsg()
    try:
        assert lib.kp_model_summary(model, o, text) == 0, lib.kp_errmsg()
        return ctypes.string_at(text).decode()
    finally:
        lib.kp_free(text)
        lib.kp_model_close(model)


def keras_text(model, **options):
    parts = []
    model.summary(print_fn=lambda s, **kw: parts.append(s), **options)
    assert len(parts) == 1
    return parts[0]


@pytest.fixture(autouse=True)
def pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


LARGE = [application, efficient]
ALL = [*MODELS, *summary_models.MODELS]
VARIANTS = [dict(), dict(expand_nested=True), dict(show_trainable=True),
            dict(expand_nested=True, show_trainable=True, line_length=100), dict(line_length=60)]


def loaded(make, path):
    """The model as Keras makes it of the file, and the file for us."""
    model = make()
    model.save(path)
    if make in summary_models.SHARED and path.suffix == ".keras":
        return model
    return keras.models.load_model(path)


@pytest.mark.parametrize("make", ALL, ids=lambda f: f.__name__)
def test_summary(make, engine, tmp_path):
    keras.utils.clear_session(free_memory=False)
    model = loaded(make, tmp_path / "m.keras")
    for options in VARIANTS if make not in LARGE else VARIANTS[:1]:
        want = keras_text(model, **options)
        assert ours(engine, tmp_path / "m.keras", **options) == want, options


# Keras cannot load these from a legacy file.
NOT_IN_H5 = {"operations", "chain_with_an_operation", "operations_with_two_inputs",
             "nested_with_operations", "half_and_double_parts", "compiled_lamb", "half_weights",
             "attention_of_groups", "encoder_block", "operations_of_many_kinds", "layers_and_slices",
             "over_the_batch", "fewer_rows"}


@pytest.mark.parametrize("make", [m for m in ALL if m.__name__ not in NOT_IN_H5 and m not in LARGE],
                         ids=lambda f: f.__name__)
def test_summary_of_h5(make, engine, tmp_path):
    keras.utils.clear_session(free_memory=False)
    model = loaded(make, tmp_path / "m.h5")
    for options in (dict(), dict(expand_nested=True, show_trainable=True)):
        assert ours(engine, tmp_path / "m.h5", **options) == keras_text(model, **options), options


def test_enough_models():
    assert len(set(ALL)) >= 60


def test_json_and_cost(engine, tmp_path):
    keras.utils.clear_session(free_memory=False)
    model = frozen_within()
    model.save(tmp_path / "m.keras")
    got = json.loads(ours(engine, tmp_path / "m.keras", json=True, cost=True, expand_nested=True))
    assert got["params"] == model.count_params()
    assert [l["name"] for l in got["layers"]][:2] == [model.layers[0].name, "inner"]
    conv = next(l for l in got["layers"] if l["class"] == "Conv2D")
    assert conv["output_shapes"] == [[None, 6, 6, 5]]
    assert conv["flops"] == pytest.approx(2 * 6 * 6 * 5 * 27, rel=0.1)
    assert "FLOPs" in ours(engine, tmp_path / "m.keras", cost=True)


def test_too_short_a_line(engine, tmp_path):
    fixed_batch().save(tmp_path / "m.keras")
    with pytest.raises(AssertionError, match="too short"):
        ours(engine, tmp_path / "m.keras", line_length=12)


@pytest.mark.parametrize("trainable", [True, False])
def test_wrappers_count_what_they_hold(engine, trainable, tmp_path):
    x = K.Input((6, 7))
    y = L.SpectralNormalization(L.Dense(5, trainable=trainable))(x)
    y = L.BatchNormalization(renorm=True)(L.TimeDistributed(L.Dense(3))(y))
    model = K.Model(x, L.GroupNormalization(2)(L.Conv1DTranspose(4, 3)(y)))
    model.save(tmp_path / "m.keras")
    assert ours(engine, tmp_path / "m.keras") == keras_text(model)
