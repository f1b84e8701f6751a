"""keras.activations: as names in layers of every kind, as functions and as layer objects."""

from parity_kit import data, keras, np, randomise

from . import Expect, case
from .kit import flag, pick, seed

L = keras.layers
NAMES = ("relu", "leaky_relu", "relu6", "softmax", "celu", "elu", "selu", "softplus", "softsign", "squareplus",
         "soft_shrink", "sparse_plus", "silu", "gelu", "glu", "tanh", "tanh_shrink", "sigmoid", "sparse_sigmoid",
         "exponential", "hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "linear", "mish", "log_softmax",
         "log_sigmoid", "sparsemax", "swish", "hard_swish")
SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 3, -3, 6, -6, 20, -20, 70, -70], "float32")
ENDS = np.array([np.inf, -np.inf, np.nan], "float32")


def shape_of(rng, least=1):
    return tuple(int(v) for v in rng.integers(2, 8, rng.integers(least, 4)))


def inputs(rng, shape):
    x = 3 * data((3, *shape), seed(rng))
    return np.where(rng.random(x.shape) < 0.2, rng.choice(SPECIAL, x.shape), x).astype("float32")


def hold(rng, activation, units):
    """A layer that takes the activation, and the input's shape."""
    kind = int(rng.integers(4))
    if kind == 0:
        return L.Activation(activation), (*shape_of(rng)[:-1], units)
    if kind == 1:
        return L.Dense(units, activation=activation), shape_of(rng)
    if kind == 2:
        return L.Conv1D(units, 2, activation=activation), (int(rng.integers(3, 6)), int(rng.integers(1, 4)))
    return L.EinsumDense("abc,cd->abd", (None, units), bias_axes="d", activation=activation), shape_of(rng, 2)[:2]


def made(rng, activation, units):
    layer, shape = hold(rng, activation, units)
    x = keras.Input(shape)
    wide = isinstance(layer, L.Activation) and activation not in ("exponential",)
    values = inputs(rng, shape) if wide else data((3, *shape), seed(rng))
    return randomise(keras.Model(x, layer(x)), seed(rng)), [values]


def named(name):
    @case(name, "activation")
    def draw(rng):
        activation = name if flag(rng, 0.7) else keras.activations.get(name)
        return made(rng, activation, pick(rng, 2, 4, 6, 8))


for _name in NAMES:
    named(_name)


@case("threshold", "activation")
def threshold(rng):
    """It needs two numbers: only the operation holds them."""
    shape = shape_of(rng)
    x = keras.Input(shape)
    y = keras.activations.threshold(x, float(rng.normal()), float(rng.normal()))
    return keras.Model(x, y), [inputs(rng, shape)]


OBJECTS = {
    "layer ReLU": lambda rng: L.ReLU(pick(rng, None, 6.0, 1.5), pick(rng, 0.0, 0.3), pick(rng, 0.0, 0.5)),
    "layer LeakyReLU": lambda rng: L.LeakyReLU(float(rng.uniform(0, 0.9))),
    "layer ELU": lambda rng: L.ELU(pick(rng, 1.0, 0.4)),
    "layer Softmax": lambda rng: L.Softmax(),
    "layer Activation": lambda rng: L.Activation(str(rng.choice(NAMES))),
    "layer in a layer Activation": lambda rng: L.Activation(L.LeakyReLU(0.4)),
    "layer without variables": lambda rng: pick(rng, L.UnitNormalization(), L.Identity(), L.Rescaling(0.3, 1.0),
                                                L.Dropout(0.4)),
}


def as_object(name, make):
    @case(name, "activation")
    def draw(rng):
        return made(rng, make(rng), pick(rng, 2, 4, 6))


for _name, _make in OBJECTS.items():
    as_object(_name, _make)


WITH_VARIABLES = {
    "PReLU": lambda rng: L.PReLU(alpha_initializer=pick(rng, "zeros", "ones", keras.initializers.Constant(0.3)),
                                 shared_axes=pick(rng, None, [1])),
    "LayerNormalization": lambda rng: L.LayerNormalization(),
    "BatchNormalization": lambda rng: L.BatchNormalization(),
}


@case("layer with variables as an activation", "activation")
def with_variables(rng):
    """They are made when data first runs through the model: a file from before that has none."""
    name = pick(rng, *sorted(WITH_VARIABLES))
    model, values = made(rng, WITH_VARIABLES[name](rng), pick(rng, 2, 4, 6))
    before = pick(rng, True, False)
    if before:
        fresh = keras.models.clone_model(model)
        fresh.set_weights(model.get_weights())
        return fresh, values, Expect(formats=("keras", "h5"), outputs=[np.asarray(model(values[0]))])
    model(values[0])
    return randomise(model, seed(rng)), values, Expect(formats=("keras", "h5"))


@case("relu at the ends of numbers", "activation")
def ends(rng):
    """What is not a number, and what is without end."""
    x = keras.Input((40,))
    y = L.ReLU(pick(rng, None, 6.0), pick(rng, 0.0, 0.3), pick(rng, 0.0, 0.5))(x)
    values = inputs(rng, (40,))
    return keras.Model(x, y), [np.where(rng.random(values.shape) < 0.3, rng.choice(ENDS, values.shape), values)]


FUNCTIONS = {
    "relu with parameters": lambda rng: lambda x: keras.activations.relu(
        x, pick(rng, 0.0, 0.3), pick(rng, None, 6.0, 2.0), pick(rng, 0.0, 0.7, -0.4)),
    "softmax along an axis": lambda rng: lambda x: keras.activations.softmax(x, axis=1),
    "log_softmax along an axis": lambda rng: lambda x: keras.activations.log_softmax(x, axis=1),
    "elu with alpha": lambda rng: lambda x: keras.activations.elu(x, 0.3),
    "gelu approximate": lambda rng: lambda x: keras.activations.gelu(x, approximate=True),
}


def called(name, make):
    """Functions called in the graph leave operations behind."""
    @case(name, "activation")
    def draw(rng):
        shape = shape_of(rng)
        x = keras.Input(shape)
        return keras.Model(x, make(rng)(x)), [inputs(rng, shape)], Expect(formats=("keras", "h5"))


for _name, _make in FUNCTIONS.items():
    called(_name, _make)
