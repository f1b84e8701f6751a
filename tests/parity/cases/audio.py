"""Spectrograms."""

from parity_kit import keras, np, randomise

from . import Expect, case
from .structured import pick

L = keras.layers


def sound(rng, shape):
    """Tones and noise, loud and quiet."""
    t = np.arange(shape[-1])
    waves = sum(rng.normal(0, 1, shape[:-1] + (1,)) * np.sin(rng.uniform(0.01, 3) * t) for _ in range(4))
    return ((waves + rng.normal(0, 0.05, shape)) * rng.uniform(0.01, 3, (shape[0],) + (1,) * (len(shape) - 1))).astype("float32")


@case("STFTSpectrogram")
def stft_spectrogram(rng):
    frame = int(rng.integers(2, 24))
    kw = {"mode": pick(rng, "log", "magnitude", "psd", "real", "imag", "angle", "stft"), "frame_length": frame,
          "frame_step": pick(rng, None, int(rng.integers(1, frame + 1))),
          "fft_length": pick(rng, None, 32, frame), "window": pick(rng, None, rng.uniform(0.1, 1, frame)),
          "scaling": pick(rng, "density", "spectrum", None) , "padding": pick(rng, "valid", "same"),
          "expand_dims": bool(rng.integers(2)), "data_format": pick(rng, "channels_last", "channels_last", "channels_first")}
    if kw["window"] is None:
        kw["scaling"] = None
    channels, samples = int(rng.integers(1, 4)), int(rng.integers(24, 70))
    shape = (samples, channels) if kw["data_format"] == "channels_last" else (channels, samples)
    x = keras.Input(shape)
    model = keras.Model(x, L.STFTSpectrogram(**kw)(x))
    values = sound(rng, (3, channels, samples))
    if kw["data_format"] == "channels_last":
        values = values.transpose(0, 2, 1)
    if rng.integers(2):
        randomise(model, int(rng.integers(1 << 30)))
    if kw["mode"] == "angle":  # the sign of a zero part decides between pi and -pi
        randomise(model, int(rng.integers(1 << 30)))
    expect = Expect(atol=1e-4 if kw["mode"] in ("log", "angle") else 2e-5)
    if kw["data_format"] == "channels_first":  # TensorFlow has no such convolution on a CPU
        y = keras.Input((samples, channels))
        twin = keras.Model(y, L.STFTSpectrogram(**{**kw, "data_format": "channels_last"})(y))
        twin.set_weights(model.get_weights())
        want = np.asarray(twin(values.transpose(0, 2, 1)))
        expect.outputs = [want.transpose(0, 3, 1, 2) if kw["expand_dims"] else want.transpose(0, 2, 1)]
    return model, [np.ascontiguousarray(values)], expect


@case("MelSpectrogram")
def mel_spectrogram(rng):
    fft = int(pick(rng, 16, 64, 100, 256))
    kw = {"fft_length": fft, "sequence_stride": int(rng.integers(3, fft)),
          "sequence_length": pick(rng, None, int(rng.integers(fft // 2, fft + 1))),
          "window": pick(rng, "hann", "hamming", None), "sampling_rate": int(pick(rng, 8000, 16000, 11025)),
          "num_mel_bins": int(rng.integers(2, 20)), "min_freq": float(rng.uniform(0, 300)),
          "max_freq": pick(rng, None, 3500), "power_to_db": bool(rng.integers(3)), "top_db": float(pick(rng, 5, 30, 80)),
          "mag_exp": float(pick(rng, 1, 2, 1.5)), "min_power": float(pick(rng, 1e-10, 1e-3)), "ref_power": float(pick(rng, 1, 0.1, 20))}
    samples = int(rng.integers(fft, 5 * fft))
    x = keras.Input((samples,) if rng.integers(3) else (None,))
    model = keras.Model(x, L.MelSpectrogram(**kw)(x))
    # The largest value of a whole batch of predict counts.
    values = sound(rng, (int(pick(rng, 3, 70)), samples))
    return model, [values], Expect(outputs=[model.predict(values, verbose=0)], atol=1e-4)
