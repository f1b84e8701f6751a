"""Models of tf.keras that compute with tf.shape, fold the batch into other axes and put axes before
it, with what they predict. Run with a Python that has TensorFlow 2.3 to 2.15: python make_tf_shapes.py
FOLDER."""

import gzip
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

K = tf.keras
L = K.layers
rng = np.random.RandomState(8)


def constant(*shape):
    return tf.constant(rng.normal(0.2, 1.1, shape).astype("float32"))


def rows(x):
    """Rows folded and unfolded; constants copied to the rows. (5, 4)"""
    s = tf.shape(x)
    b, n, d = tf.unstack(s)
    y = L.Dense(3)(tf.reshape(x, [-1, 4]))
    heads = tf.concat(tf.split(L.Dense(4)(x), 2, axis=2), axis=0)
    heads = tf.matmul(tf.nn.softmax(tf.matmul(heads, heads, transpose_b=True)), heads)
    places = tf.tile(tf.expand_dims(tf.range(5), 0), [b, 1])
    turned = tf.reshape(tf.transpose(x, [1, 0, 2]), [s[1], s[0], 2, 2])
    return [tf.reshape(y, [b, 5, 3]), tf.reshape(y, tf.stack([s[0], s[1], 3])),
            tf.reshape(y, tf.concat([s[:-1], [3]], 0)), tf.reshape(x, [b, n * d]),
            tf.reshape(x, [-1, tf.reduce_prod(s[1:])]), tf.concat(tf.split(heads, 2, axis=0), axis=2),
            tf.concat([tf.tile(constant(1, 1, 4), [b, 1, 1]), x, tf.zeros([b, 2, 4])], 1),
            tf.concat([tf.broadcast_to(constant(1, 1, 4), [b, 1, 4]), x, tf.fill([b, 1, 4], 0.5)], 1),
            x * tf.broadcast_to(constant(4), s), x + L.Embedding(5, 4)(places),
            tf.transpose(turned, [1, 0, 2, 3]), tf.reduce_mean(tf.stack([x, x * 2.0, tf.exp(x)]), axis=0),
            x[:, n - 1], x[:, n // 2:], tf.slice(x, [0, 1, 0], [-1, 2, 3])]


def lengths(x):
    """Steps of an open number, at the end none: an output has known sizes. (None, 4)"""
    s = tf.shape(x)
    n = s[1]
    y = L.Dense(6)(tf.reshape(x, [s[0] * n, 4]))
    q = tf.transpose(tf.reshape(L.Dense(6)(x), [s[0], n, 2, 3]), [0, 2, 1, 3])
    a = tf.matmul(tf.nn.softmax(tf.matmul(q, q, transpose_b=True)), q)
    i = tf.range(n)
    causal = tf.cast(i[:, None] >= i, tf.float32) + tf.linalg.band_part(tf.ones((n, n)), -1, 0)
    return [tf.reduce_max(v, 1) for v in (
        tf.reshape(y, [-1, n, 6]), tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [s[0], n, 6]),
        x + L.Embedding(9, 4)(i), x / tf.cast(n, tf.float32), x[:, :n - 1], x[:, 1:n] * x[:, :n - 1],
        tf.matmul(tf.matmul(x, x, transpose_b=True) * causal, x),
        tf.concat([x, tf.tile(tf.expand_dims(x[:, 0], 1), [1, n, 1])], -1))]


def windows(x):
    """Windows of images of a known size. (4, 6, 8)"""
    b = tf.shape(x)[0]
    y = tf.transpose(tf.reshape(x, (-1, 2, 2, 3, 2, 8)), (0, 1, 3, 2, 4, 5))
    y = L.LayerNormalization()(L.Dense(8)(tf.reshape(y, (-1, 4, 8))))
    q, k, v = tf.unstack(tf.transpose(tf.reshape(L.Dense(24)(y), [-1, 4, 3, 2, 4]), [2, 0, 3, 1, 4]))
    a = tf.matmul(tf.nn.softmax(tf.matmul(q * 0.5, k, transpose_b=True)), v)
    y = y + tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [-1, 4, 8])
    y = tf.transpose(tf.reshape(y, (-1, 2, 3, 2, 2, 8)), (0, 1, 3, 2, 4, 5))
    return [tf.reshape(y, (b, 4, 6, 8)), x + tf.image.resize(L.MaxPooling2D(2)(x), tf.shape(x)[1:3])]


def images(x):
    """Images of open sizes. (None, None, 8)"""
    s = tf.shape(x)
    h, w = s[1], s[2]
    y = tf.transpose(tf.reshape(x, [s[0], h // 2, 2, w // 2, 2, 8]), (0, 1, 3, 2, 4, 5))
    y = L.Dense(8)(tf.reshape(y, (-1, 4, 8)))
    y = tf.transpose(tf.reshape(y, [s[0], h // 2, w // 2, 2, 2, 8]), (0, 1, 3, 2, 4, 5))
    z = tf.reshape(x, [s[0], h * w, 8])
    z = tf.matmul(tf.nn.softmax(tf.matmul(z, z, transpose_b=True)), z)
    shuffled = tf.transpose(tf.reshape(x, [-1, h, w, 2, 4]), [0, 1, 2, 4, 3])
    return [L.GlobalMaxPooling2D()(v) for v in (
        tf.reshape(y, (s[0], h, w, 8)) * x, tf.reshape(z, [s[0], h, w, 8]) - x,
        tf.reshape(shuffled, [-1, h, w, 8]) * x, tf.image.resize(L.MaxPooling2D(2)(x), [h, w]) * x)]


for make, shape, size in ((rows, (5, 4), (5, 4)), (lengths, (None, 4), (5, 4)),
                          (windows, (4, 6, 8), (4, 6, 8)), (images, (None, None, 8), (4, 6, 8))):
    x = K.Input(shape, name="x")
    outputs = make(x)
    model = K.Model(x, outputs)
    model.set_weights([rng.normal(0.1, 0.6, w.shape).astype("float32") for w in model.get_weights()])
    value = rng.normal(0.2, 1.1, (3,) + size).astype("float32")
    arrays = {"in0": value}
    arrays.update(("out%d" % i, o) for i, o in enumerate(model.predict(value)))
    path = os.path.join(sys.argv[1], "tf%s_shapes-%s" % (tf.__version__, make.__name__))
    model.save(path + ".h5")
    with open(path + ".h5", "rb") as f, gzip.open(path + ".h5.gz", "wb") as o:
        o.write(f.read())
    os.remove(path + ".h5")
    np.savez_compressed(path + ".npz", **arrays)
    print(path)
