"""Classes that need code from elsewhere: refused by name."""

import json
import zipfile

from . import refused
from .kit import L, keras

CODE = "needs code that a model file does not hold or that is never run"


def with_class(path, class_name, module="keras.layers"):
    """A model whose second entry has become a layer, or an operation, of another class."""
    if module == "keras.layers":
        model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="odd")])
    else:
        x = keras.Input((4,))
        model = keras.Model(x, keras.ops.abs(x))
    plain = path.with_suffix(".plain.keras")
    model.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = config["config"]["layers"][1]
                layer["class_name"], layer["module"] = class_name, module
                content = json.dumps(config).encode()
            new.writestr(name, content)


@refused("Lambda", CODE)
def lambda_layer(path, rng):
    keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x + 1, name="odd")]).save(path)


def foreign(name):
    @refused(name, CODE)
    def one(path, rng):
        with_class(path, name)


for _name in ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"):
    foreign(_name)


FUNCTIONS = "holds Python functions, which are never run"
OPERATIONS = {
    "core": dict.fromkeys(("AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap",
                           "WhileLoop"), FUNCTIONS),
    "linalg": {"JVP": FUNCTIONS},
    "math": {"ViewAsComplex": "gives complex numbers, which no layer of a file takes"},
    "numpy": {"Arange": "its length would be computed by the model"},
}


def operation(name, module, reason):
    @refused(name, reason, "op")
    def one(path, rng):
        with_class(path, name, f"keras.src.ops.{module}")


for _module, _names in OPERATIONS.items():
    for _name, _reason in _names.items():
        operation(_name, _module, _reason)
