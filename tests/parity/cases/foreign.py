"""Classes that need code from elsewhere: refused by name."""

import json
import zipfile

from . import refused
from .kit import L, keras

CODE = "needs code that a model file does not hold or that is never run"


def with_class(path, class_name, module="keras.layers"):
    """A model whose Dense has become a layer of another class."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="odd")])
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
