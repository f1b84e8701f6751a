"""Models of tf.keras that call functions of TensorFlow (TFOpLambda, SlicingOpLambda), with what they
predict. Run with a Python that has tf_keras: python make_tf_functions.py FOLDER."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as K

rng = np.random.default_rng(5)


def operators(x, y):
    return [1.0 - x, 2.0 / x, x ** 2.0, 2.0 ** x, -x, abs(x), x // 2.0, x % 2.0, x + y, x * 3.0, x > y,
            tf.math.squared_difference(x, y), tf.math.divide_no_nan(x, y), tf.maximum(x, 0.5),
            x @ tf.transpose(y, [0, 2, 1]), tf.matmul(x, y, transpose_b=True), tf.add_n([x, y, x])]


def slices(x, y):
    return [x[:, 0], x[:, ::-1], x[..., None], x[:, 1:3, :2], x[:, -1, 2:], x[:, :, None, ::2],
            tf.gather(x, [0, 2], axis=1), tf.split(x, 2, axis=-1)[1], tf.unstack(x, axis=1)[2],
            tf.split(x, [1, 3], axis=1)[1]]


def shapes(x, y):
    n = tf.shape(x)[0]
    return [tf.reshape(x, (-1, 24)), tf.reshape(x, (n, -1)), tf.reshape(x, (n, 2, 12)),
            tf.reshape(x, (-1, tf.shape(x)[1] , 3, 2)), tf.expand_dims(x, 1),
            tf.squeeze(tf.expand_dims(x, 1), 1), tf.concat([x, y], -1), tf.concat([x, y], axis=1),
            tf.stack([x, y], 1), tf.tile(x, [1, 2, 1]), tf.pad(x, [[0, 0], [1, 1], [0, 2]]),
            tf.repeat(x, 2, axis=1), tf.reverse(x, [1]), tf.roll(x, 1, 1)]


def reductions(x, y):
    return [tf.reduce_mean(x, axis=1), tf.reduce_sum(x, -1, True), tf.reduce_max(x, [1, 2]),
            tf.reduce_min(x, axis=-1, keepdims=True), tf.math.reduce_std(x, 1),
            tf.reduce_prod(x, 1), tf.argmax(x, -1), tf.math.cumsum(x, 1), tf.linalg.norm(x, axis=-1),
            tf.math.reduce_logsumexp(x, 1), K.backend.mean(x, axis=1)]


def functions(x, y):
    return [tf.nn.softmax(x), tf.nn.relu6(x), tf.nn.leaky_relu(x), tf.nn.leaky_relu(x, 0.3), tf.nn.gelu(x),
            tf.nn.gelu(x, True), tf.nn.swish(x), tf.nn.elu(x), tf.math.softplus(x), tf.exp(x), tf.sin(x),
            tf.math.l2_normalize(x, 1), tf.nn.l2_normalize(x, -1), tf.clip_by_value(x, -1.0, 1.0),
            tf.where(x > 0.0, x, y), tf.cast(x > 0.0, tf.float32) * y, tf.zeros_like(x) + y,
            tf.nn.bias_add(x, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), K.activations.relu(x), tf.identity(x),
            tf.one_hot(tf.cast(tf.abs(x), tf.int32), 3), tf.math.top_k(x, 2)[0]]


def images(x, y):
    i = tf.reshape(x, (-1, 4, 3, 2))
    return [tf.image.resize(i, (8, 6)), tf.image.resize(i, (6, 5), method="nearest"),
            tf.nn.avg_pool2d(i, 2, 2, "SAME"), tf.nn.max_pool2d(i, [2, 2], [1, 1], "VALID"),
            tf.nn.depth_to_space(tf.reshape(x, (-1, 2, 3, 4)), 2),
            tf.nn.space_to_depth(tf.reshape(x, (-1, 4, 2, 3)), 2), tf.image.flip_left_right(i),
            tf.nn.conv2d(i, np.ones((2, 2, 2, 3), "float32") * 0.3, 1, "SAME")]


for make in (operators, slices, shapes, reductions, functions, images):
    x, y = K.Input((4, 6), name="x"), K.Input((4, 6), name="y")
    model = K.Model([x, y], make(x, y))
    inputs = [rng.normal(0.2, 1.2, (3, 4, 6)).astype("float32") for _ in range(2)]
    arrays = {f"in{i}": a for i, a in enumerate(inputs)}
    arrays |= {f"out{i}": o for i, o in enumerate(model.predict(inputs, verbose=0))}
    path = os.path.join(sys.argv[1], f"tfk{K.__version__}_functions-{make.__name__}")
    model.save(path + ".h5")
    np.savez(path + ".npz", **arrays)
    print(path)
