"""Random but seeded models of every layer class, activation and operation, one module an area.

A module registers functions by name: `@case("LSTM")` over `def lstm(rng): return model, inputs`. rng is
a numpy Generator that depends on the name and the seed alone; the function draws the configuration (every
constructor and call argument that has meaning at inference), odd sizes, weights and inputs from it.
`inputs` is a list of arrays in the model's flat input order. A case may yield a smaller tolerance or a
reference of its own: return `model, inputs, Expect(...)`.

The kinds: "layer" (a class of keras.layers), "activation", "op" (a class of keras.ops as it stands in
saved graphs), "model" (whole graphs: wiring, nesting, masks), "application".
"""

import dataclasses
import importlib
import pathlib
import pkgutil

REGISTRY = {}  # (kind, name) -> function
# What runs but cannot be compared, and why.
UNTRIED = {("op", name): "Keras itself cannot run or reload it" for name in
           ("ConvTranspose", "AdaptiveAveragePool", "AdaptiveMaxPool")}
UNTRIED[("layer", "Equalization")] = "Keras itself cannot build a model of it"
REFUSED = {}  # (kind, name) -> (function, reason): what cannot be run, and must be refused in words


@dataclasses.dataclass
class Expect:
    rtol: float = 1e-4
    atol: float = 1e-5
    outputs: list | None = None  # arrays to expect instead of what Keras gives
    formats: tuple = ("keras",)  # file formats to save to


def case(name, kind="layer"):
    def register(fn):
        assert (kind, name) not in REGISTRY, f"two cases named {kind} {name}"
        REGISTRY[(kind, name)] = fn
        return fn
    return register


def refused(name, reason, kind="layer"):
    """Over `def f(path, rng)`: writes a file that holds one; its refusal must name it or the layer."""
    def register(fn):
        assert (kind, name) not in REFUSED, f"two refusals named {kind} {name}"
        REFUSED[(kind, name)] = (fn, reason)
        return fn
    return register


def load():
    """Imports every module of this folder; gives the registry of what runs."""
    for m in pkgutil.iter_modules([str(pathlib.Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{m.name}")
    return REGISTRY
