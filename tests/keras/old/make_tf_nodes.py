"""Models of tf.keras 2.0 to 2.3 that call functions of TensorFlow (TensorFlowOpLayer), with what they
predict. Run with a Python that has such a TensorFlow: python make_tf_nodes.py FOLDER."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

K = tf.keras
rng = np.random.default_rng(6)


def arithmetic(x, y):
    return [1.0 - x, 2.0 / x, x * 3.0, x + y, x ** 2.0, -x, tf.maximum(x, 0.5), tf.nn.leaky_relu(x),
            tf.math.rsqrt(tf.abs(x)), tf.clip_by_value(x, -1.0, 1.0), tf.where(x > 0, x, -y),
            tf.nn.softmax(x), tf.sigmoid(x), tf.nn.relu(x), tf.matmul(x, y, transpose_b=True),
            tf.reduce_mean(x, 1), tf.reduce_sum(x, [1, 2], keepdims=True), tf.cast(x * 9, tf.int32)]


def moves(x, y):
    return [tf.concat([x, y], -1), x[:, 1:], x[:, 0], x[:, ::-1, 1:4:2], x[..., None], tf.reshape(x, [-1, 24]),
            tf.transpose(x, [0, 2, 1]), tf.expand_dims(x, 1), tf.squeeze(tf.expand_dims(x, 1), 1),
            tf.stack([x, y], 1), tf.split(x, 2, -1)[1], tf.split(x, [1, 3], 1)[1], tf.tile(x, [1, 2, 1]),
            tf.pad(x, [[0, 0], [1, 1], [0, 0]]), tf.reshape(x, (tf.shape(x)[0], -1)),
            tf.gather(x, [0, 2], axis=1), tf.unstack(x, axis=1)[2]]


def images(x, y):
    i = tf.reshape(x, [-1, 4, 3, 2])
    return [tf.image.resize(i, (8, 6)), tf.image.resize(i, (6, 5), method="nearest"),
            tf.nn.max_pool2d(i, 2, 2, "SAME"), tf.nn.avg_pool2d(i, [2, 2], [1, 1], "VALID")]


for make in (arithmetic, moves, images):
    x, y = K.Input((4, 6), name="x"), K.Input((4, 6), name="y")
    model = K.Model([x, y], make(x, y))
    inputs = [rng.normal(0.2, 1.2, (3, 4, 6)).astype("float32") for _ in range(2)]
    arrays = {"in%d" % i: a for i, a in enumerate(inputs)}
    arrays.update(("out%d" % i, o) for i, o in enumerate(model.predict(inputs)))
    path = os.path.join(sys.argv[1], "tf%s_nodes-%s" % (tf.__version__, make.__name__))
    model.save(path + ".h5")
    np.savez(path + ".npz", **arrays)
    print(path)
