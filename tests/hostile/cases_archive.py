"""The archive: truncations, flipped bits, lying headers, bombs, names that lead elsewhere."""

import io
import random
import stat
import struct
import zipfile
import zlib

from kit import (METADATA, SEED, archive, h5_case, keras_case, keras_file, legacy, members, net,
                 raw_archive, raw_member, store, text)


def parts(**changes):
    """Raw members of the sound file; NAME=dict(...) changes what its headers say."""
    out = []
    for name, data in members():
        out.append(raw_member(name, data, **changes.get(name.replace(".", "_"), {})))
    return out


def truncated():
    sound = keras_file()
    rng = random.Random(SEED)
    sizes = {1, 3, 4, 30, len(sound) // 2, len(sound) - 1, len(sound) - 22}
    sizes |= {rng.randrange(len(sound)) for _ in range(13)}
    for n in sorted(sizes):
        yield keras_case(f"cut-{n}", lambda n=n: sound[:n])


def flipped():
    """Every part of an archive has a checksum, but for dates and attributes."""
    sound = keras_file()
    rng = random.Random(SEED + 1)
    for _ in range(40):
        at, bit = rng.randrange(len(sound)), rng.randrange(8)
        data = bytearray(sound)
        data[at] ^= 1 << bit
        yield keras_case(f"flip-{at}-{bit}", lambda d=bytes(data): d, expect="either")


def names():
    bad = ["../config.json", "/config.json", "C:\\config.json", "..\\config.json",
           "assets/../../x", "assets/..", "//x", "a/../../b", "n" * 5000]
    for name in bad:
        # Python's writer would turn the backslash of a name into a slash.
        yield keras_case(f"member-{name[:20]!r}",
                         lambda n=name: raw_archive(parts() + [raw_member(n, b"x")]),
                         "member", "name")
    yield keras_case("member-nul", lambda: raw_archive(
        parts() + [raw_member("assets/a\0b", b"x")]), "name")
    yield keras_case("member-empty", lambda: raw_archive(parts() + [raw_member("", b"x")]), "name")
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        yield keras_case(f"twice-{name}", lambda n=name: raw_archive(
            parts() + [raw_member(n, dict(members())[n])]), name)
        yield keras_case(f"link-{name}", lambda n=name: raw_archive(
            [p | ({"external": (stat.S_IFLNK | 0o777) << 16} if p["name"] == n else {})
             for p in parts()]), name)
    yield keras_case("link-asset", lambda: raw_archive(parts() + [raw_member(
        "assets/a", b"/etc/passwd", external=(stat.S_IFLNK | 0o777) << 16)]), "assets/a")
    yield keras_case("folder-config", lambda: archive(
        [(n + "/" if n == "config.json" else n, d) for n, d in members()]), "config.json")


def headers():
    for name in ("config.json", "model.weights.h5"):
        key = name.replace(".", "_")
        for what, change in {
            "crc": {"crc": 12345}, "longer": {"size": 10**6, "packed": 10**6},
            "shorter": {"size": 100}, "encrypted": {"flags": 1}, "strong": {"flags": 0x40},
            "bzip2": {"method": 12}, "lzma": {"method": 14}, "method99": {"method": 99},
            "local-name": {"local_name": "metadata.jsom" + "x" * (len(name) - 13)},
            "beyond": {"offset": 2**31}, "behind": {"offset": 7},
            "huge": {"size": 2**32 - 2, "packed": 2**32 - 2},
            "zip64-without": {"size": 2**32 - 1, "packed": 2**32 - 1},
        }.items():
            yield keras_case(f"{what}-{name}", lambda k=key, c=change: raw_archive(parts(**{k: c})))
    yield keras_case("metadata-crc", lambda: raw_archive(parts(metadata_json={"crc": 1})),
                     "metadata.json")
    yield keras_case("overlap", lambda: raw_archive(parts(model_weights_h5={"offset": 0})))
    yield keras_case("count-more", lambda: raw_archive(parts(), count=4))
    yield keras_case("count-less", lambda: raw_archive(parts(), count=2))
    yield keras_case("count-none", lambda: raw_archive(parts(), count=0))
    yield keras_case("count-most", lambda: raw_archive(parts(), count=65535))
    yield keras_case("directory-0", lambda: raw_archive(parts(), directory_offset=0))
    yield keras_case("directory-beyond", lambda: raw_archive(parts(), directory_offset=2**31))
    yield keras_case("two-disks", lambda: raw_archive(parts(), disk=1))
    yield keras_case("comment-short", lambda: raw_archive(parts(), comment=b"x", comment_size=9))
    yield keras_case("no-members", lambda: b"PK\3\4" + raw_archive([]))
    yield keras_case("tail", lambda: keras_file() + b"x" * 1000, expect="either")
    yield keras_case("zip64-lies", lambda: lying_zip64())


def lying_zip64():
    data = raw_archive(parts(), count=65535, directory_offset=2**32 - 1)
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
    return data[:-22] + end + struct.pack("<4sIQI", b"PK\6\7", 0, len(data) - 22, 1) + data[-22:]


def deflated(data, level=9):
    c = zlib.compressobj(level, zlib.DEFLATED, -15)
    return c.compress(data) + c.flush()


def packed_member(name, data, stream=None, **kw):
    p = deflated(data) if stream is None else stream
    return raw_member(name, p, **({"method": 8, "crc": zlib.crc32(data), "size": len(data),
                                   "packed": len(p)} | kw))


def zeros(n):
    """n zero bytes as a deflate stream, without having them."""
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    out, crc, block = [], 0, bytes(1 << 22)
    for _ in range(n // len(block)):
        out.append(c.compress(block))
        crc = zlib.crc32(block, crc)
    return b"".join(out) + c.flush(), crc


def bombs():
    def bomb(name, n, **kw):
        stream, crc = zeros(n)
        lies = raw_member(name, stream, **({"method": 8, "crc": crc, "size": n,
                                            "packed": len(stream)} | kw))
        return raw_archive([p for p in parts() if p["name"] != name] + [lies])

    yield keras_case("bomb-config", lambda: bomb("config.json", 1 << 30), "config.json")
    yield keras_case("bomb-weights", lambda: bomb("model.weights.h5", 1 << 31), "model.weights.h5")
    yield keras_case("bomb-modest", lambda: bomb("config.json", 1 << 30, size=1000), "config.json")
    yield keras_case("bomb-metadata", lambda: bomb("metadata.json", 1 << 28), "metadata.json")
    yield keras_case("bomb-asset", lambda: bomb("assets/x/vocabulary.txt", 1 << 30),
                     "assets/x/vocabulary.txt")
    yield keras_case("members-30000", lambda: raw_archive(
        parts() + [raw_member(f"assets/{i}", b"") for i in range(30000)]), "members")
    for cut in (1, 10, 100):
        yield keras_case(f"deflate-cut-{cut}", lambda n=cut: raw_archive(parts()[:2] + [
            packed_member("model.weights.h5", store(), deflated(store())[:-n])]),
            "model.weights.h5")
    rng = random.Random(SEED + 2)
    for i in range(6):
        def broken(i=i, at=rng.random(), bit=rng.randrange(8)):
            data = bytearray(deflated(store()))
            data[int(at * len(data))] ^= 1 << bit
            return raw_archive(parts()[:2] + [packed_member("model.weights.h5", store(),
                                                            bytes(data))])
        yield keras_case(f"deflate-flip-{i}", broken, "model.weights.h5")
    yield keras_case("deflate-longer", lambda: raw_archive(parts()[:2] + [
        packed_member("model.weights.h5", store(), size=100)]), "model.weights.h5")
    yield keras_case("deflate-sound", lambda: archive(members(), zipfile.ZIP_DEFLATED),
                     expect="same")


def missing():
    for name, _ in members():
        if name != "metadata.json":
            yield keras_case(f"without-{name}", lambda n=name: archive(
                [m for m in members() if m[0] != n]), name)
        yield keras_case(f"empty-{name}", lambda n=name: archive(
            [(k, b"" if k == n else d) for k, d in members()]), name)
        yield keras_case(f"noise-{name}", lambda n=name: archive(
            [(k, random.Random(SEED).randbytes(5000) if k == n else d) for k, d in members()]),
            name)
    for what, data in {"list": b"[]", "number": b"3", "text": b"\"x\"",
                       "version-number": b"{\"keras_version\": 3}",
                       "version-list": b"{\"keras_version\": []}",
                       "version-long": b"{\"keras_version\": \"" + b"9" * 100000 + b"\"}",
                       "version-99": b"{\"keras_version\": \"99.0\"}",
                       "deep": b"[" * 100000}.items():
        yield keras_case(f"metadata-{what}", lambda d=data: archive(
            [("metadata.json", d)] + members()[1:]), "metadata.json", expect="either")
    yield h5_case("archive-named-h5", keras_file, expect="same")
    yield keras_case("h5-named-keras", legacy, expect="same")


def nested():
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("model.keras", keras_file())
    yield keras_case("archive-in-archive", inner.getvalue, "model.keras")


def cases():
    for part in (truncated, flipped, names, headers, bombs, missing, nested):
        yield from part()
