"""User layers by plug-ins: numbers, summary and inspect against the real Keras; what is refused."""

import os
import pathlib
import subprocess
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
np = pytest.importorskip("numpy")
keras = pytest.importorskip("keras")
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/layers"), str(TOP / "examples/layers")]
import case_layers  # noqa: E402
import my_layers  # noqa: E402

BUILD = pathlib.Path(os.environ.get("KP_BUILD_DIR", "build")).resolve()
SWISH = BUILD / "examples/swish.so"
L, K = keras.layers, keras


def compile_plugin(folder, *flags, source=TOP / "tests/layers/cases.c"):
    so = folder / f"p{len(list(folder.glob('*.so')))}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *flags,
                    f"-I{TOP}/include", source, "-o", so, "-lm"], check=True)
    return so


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return compile_plugin(tmp_path_factory.mktemp("so"))


def kpredict(*args, **kw):
    return subprocess.run([BUILD / "kpredict", *map(str, args)], capture_output=True, text=True,
                          timeout=120, **kw)


def predicted(path, x, folder, *options):
    np.save(folder / "x.npy", x)
    done = kpredict("run", path, folder / "x.npy", "-o", folder / "y.npy", "--force", *options)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "y.npy")


def swish_model(beta=0.7):
    x = K.Input((9, 5))
    y = L.Dense(7, bias_initializer="random_normal")(x)
    swish = my_layers.Swish(beta, name="own")
    return K.Model(x, L.Dense(4)(swish(swish(y))))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_lowered_class(ending, tmp_path):
    model = swish_model()
    model.save(tmp_path / f"m.{ending}")
    x = np.random.default_rng(1).normal(size=(11, 9, 5)).astype("float32")
    got = predicted(tmp_path / f"m.{ending}", x, tmp_path, "--plugin", SWISH)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_example_of_the_repository(tmp_path):
    path = TOP / "examples/layers/swish.keras"
    x = np.random.default_rng(2).normal(size=(7, 6)).astype("float32")
    got = predicted(path, x, tmp_path, "--plugin", SWISH)
    want = keras.models.load_model(path).predict(x, verbose=0)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def scale_model(power=2.0, **call):
    x = K.Input((None, 6))
    return K.Model(x, case_layers.Scale(power, name="own")(L.ReLU()(x), **call))


@pytest.mark.parametrize("call, power", [({}, 2.0), ({"shift": -3.25}, 1.0), ({"shift": 2}, 0.5)])
def test_kernel_with_weight_config_and_argument(cases, call, power, tmp_path):
    model = scale_model(power, **call)
    own = model.get_layer("own")
    own.w.assign(np.random.default_rng(3).uniform(0.2, 2, 6))
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(4).normal(size=(13, 5, 6)).astype("float32")
    got = predicted(tmp_path / "m.keras", x, tmp_path, "--plugin", cases)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_builder_calls(cases, mode, tmp_path):
    x = K.Input((4, 5))
    model = K.Model(x, case_layers.Block(7, mode)(x))
    for v in model.variables:
        v.assign(np.random.default_rng(5).normal(size=v.shape))
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(6).normal(size=(9, 4, 5)).astype("float32")
    got = predicted(tmp_path / "m.keras", x, tmp_path, "--plugin", cases)
    np.testing.assert_allclose(got, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_two_plugins_summary_and_inspect(cases, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    x = K.Input((6,))
    K.Model(x, L.Dense(2)(case_layers.Scale(2.0, name="own")(my_layers.Swish(3.0)(x)))).save(tmp_path / "m.keras")
    both = ("--plugin", cases, "--plugin", SWISH)
    parts = []
    keras.models.load_model(tmp_path / "m.keras").summary(print_fn=lambda s, **kw: parts.append(s))
    assert kpredict("summary", tmp_path / "m.keras", *both).stdout == parts[0]
    text = kpredict("inspect", "--weights", tmp_path / "m.keras", *both).stdout
    assert "own/w" in text and "kernel" in text
    assert kpredict("bench", tmp_path / "m.keras", "--seconds", "0.01", *both).returncode == 0


def refusal(*args, status=2):
    done = kpredict(*args)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stderr.splitlines()[-1]


def test_refused_without_the_plugin(tmp_path):
    swish_model().save(tmp_path / "m.keras")
    line = refusal("summary", tmp_path / "m.keras", status=4)
    assert "own" in line and "--plugin" in line


@pytest.mark.parametrize("flags, words", [(["-DCASES_ABI=99"], "another version"),
                                          (["-DCASES_OWN_CLASS"], "Keras' own"),
                                          (["-Dkp_layer_entry=other"], "kp_layer_entry")])
def test_unfit_plugins(flags, words, tmp_path):
    scale_model().save(tmp_path / "m.keras")
    so = compile_plugin(tmp_path, *flags)
    for verb in (["summary", tmp_path / "m.keras"],
                 ["run", tmp_path / "m.keras", tmp_path / "x.npy", "-o", tmp_path / "y.npy"]):
        np.save(tmp_path / "x.npy", np.zeros((2, 3, 6), "float32"))
        line = refusal(*verb, "--plugin", so)
        assert words in line and so.name in line


def test_files_that_are_no_plugins(cases, tmp_path):
    scale_model().save(tmp_path / "m.keras")
    (tmp_path / "text.so").write_text("no shared object")
    assert "cannot be opened" in refusal("summary", tmp_path / "m.keras", "--plugin", tmp_path / "text.so")
    assert "cannot be opened" in refusal("summary", tmp_path / "m.keras", "--plugin", tmp_path / "none.so")
    assert "--preprocess" in refusal("summary", tmp_path / "m.keras", "--plugin",
                                     BUILD / "examples/preprocess_template.so")
    assert "there already" in refusal("summary", tmp_path / "m.keras", "--plugin", cases, "--plugin", cases)


def test_what_the_plugin_says_is_said(cases, tmp_path):
    scale_model(-1.0).save(tmp_path / "m.keras")
    line = refusal("summary", tmp_path / "m.keras", "--plugin", cases, status=4)
    assert "power must not be negative" in line and "own" in line
    scale_model().save(tmp_path / "n.keras")
    np.save(tmp_path / "x.npy", np.full((2, 3, 6), 1e9, "float32"))
    done = kpredict("run", tmp_path / "n.keras", tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--plugin", cases)
    assert done.returncode != 0 and "too large" in done.stderr


def test_a_weight_that_nobody_asks_for(tmp_path):
    @keras.saving.register_keras_serializable(package="my_package", name="Swish")
    class Heavier(my_layers.Swish):
        def build(self, shape):
            self.more = self.add_weight(shape=(3,), name="more")
    x = K.Input((6,))
    K.Model(x, Heavier(name="own")(x)).save(tmp_path / "m.keras")
    keras.saving.register_keras_serializable(package="my_package")(my_layers.Swish)
    assert "own" in refusal("summary", tmp_path / "m.keras", "--plugin", SWISH, status=4)
