"""What the modules of cases share: draws from the generator, one-layer models."""

from parity_kit import data, keras, np, randomise

L = keras.layers
BATCH = 3


def seed(rng):
    return int(rng.integers(1 << 30))


def flag(rng, p=0.5):
    return bool(rng.random() < p)


def pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def sizes(rng, n, low, high):
    """n sizes in low..high, both included."""
    return tuple(int(v) for v in rng.integers(low, high, n, endpoint=True))


def channels(rng):
    return pick(rng, 1, 3, 5, 7, 17)


def activation(rng):
    return pick(rng, None, "relu", "tanh", "sigmoid", "gelu", "elu", "softplus", "linear", "silu")


def model_of(call, shapes, rng, dtype="float32"):
    """The model of one call on inputs of these shapes (without batch), its weights drawn."""
    xs = [keras.Input(s, dtype=dtype) for s in shapes]
    return randomise(keras.Model(xs if len(xs) > 1 else xs[0], call(xs if len(xs) > 1 else xs[0])),
                     seed(rng))


def inputs_of(shapes, rng, dtype="float32"):
    return [data((BATCH,) + tuple(s), seed(rng)).astype(dtype) for s in shapes]


def layer_case(call, shapes, rng):
    return model_of(call, shapes, rng), inputs_of(shapes, rng)


def optional(rng, **args):
    """Some of the arguments, so that defaults are tried too."""
    return {k: v for k, v in args.items() if flag(rng, 0.7)}


__all__ = ["BATCH", "L", "activation", "channels", "data", "flag", "inputs_of", "keras", "layer_case",
           "model_of", "np", "optional", "pick", "randomise", "seed", "sizes"]
