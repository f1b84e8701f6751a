/* FarmHash Fingerprint64 and SipHash-2-4, written from their published definitions. */
#include "ops/ops.h"

static const uint64_t k0 = 0xc3a5c85c97cb3127u, k1 = 0xb492b66fbe98f273u, k2 = 0x9ae16a3b2f90404fu;

static uint64_t fetch64(const char *s)
{
    uint64_t v;
    memcpy(&v, s, sizeof v);
    return v;
}

static uint64_t fetch32(const char *s)
{
    uint32_t v;
    memcpy(&v, s, sizeof v);
    return v;
}

static uint64_t rotate(uint64_t v, int by)
{
    return v >> by | v << (64 - by);
}

static uint64_t mix(uint64_t v)
{
    return v ^ v >> 47;
}

static uint64_t hash16(uint64_t u, uint64_t v, uint64_t mul)
{
    uint64_t a = mix((u ^ v) * mul);
    return mix((v ^ a) * mul) * mul;
}

static uint64_t hash_to_16(const char *s, size_t n)
{
    uint64_t mul = k2 + n * 2;
    if (n >= 8) {
        uint64_t a = fetch64(s) + k2, b = fetch64(s + n - 8);
        return hash16(rotate(b, 37) * mul + a, (rotate(a, 25) + b) * mul, mul);
    }
    if (n >= 4)
        return hash16(n + (fetch32(s) << 3), fetch32(s + n - 4), mul);
    if (n == 0)
        return k2;
    uint64_t a = (uint8_t)s[0], b = (uint8_t)s[n >> 1], c = (uint8_t)s[n - 1];
    return mix((a + (b << 8)) * k2 ^ (n + (c << 2)) * k0) * k2;
}

static uint64_t hash_to_32(const char *s, size_t n)
{
    uint64_t mul = k2 + n * 2, a = fetch64(s) * k1, b = fetch64(s + 8);
    uint64_t c = fetch64(s + n - 8) * mul, d = fetch64(s + n - 16) * k2;
    return hash16(rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + k2, 18) + c, mul);
}

static uint64_t hash_to_64(const char *s, size_t n)
{
    uint64_t mul = k2 + n * 2, a = fetch64(s) * k2, b = fetch64(s + 8);
    uint64_t c = fetch64(s + n - 8) * mul, d = fetch64(s + n - 16) * k2;
    uint64_t y = rotate(a + b, 43) + rotate(c, 30) + d;
    uint64_t z = hash16(y, a + rotate(b + k2, 18) + c, mul);
    uint64_t e = fetch64(s + 16) * mul, f = fetch64(s + 24);
    uint64_t g = (y + fetch64(s + n - 32)) * mul, h = (z + fetch64(s + n - 24)) * mul;
    return hash16(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + a, 18) + g, mul);
}

typedef struct pair {
    uint64_t a, b;
} pair;

static pair weak(const char *s, uint64_t a, uint64_t b)
{
    uint64_t w = fetch64(s), x = fetch64(s + 8), y = fetch64(s + 16), z = fetch64(s + 24), c;
    a += w;
    b = rotate(b + a + z, 21);
    c = a;
    a += x + y;
    b += rotate(a, 44);
    return (pair){a + z, b + c};
}

/* The state of the loop over blocks of 64 bytes. */
typedef struct blocks {
    uint64_t x, y, z;
    pair v, w;
} blocks;

static void block(blocks *h, const char *s, uint64_t mul, uint64_t times)
{
    h->x = rotate(h->x + h->y + h->v.a + fetch64(s + 8), 37) * mul;
    h->y = rotate(h->y + h->v.b + fetch64(s + 48), 42) * mul;
    h->x ^= h->w.b * times;
    h->y += h->v.a * times + fetch64(s + 40);
    h->z = rotate(h->z + h->w.a, 33) * mul;
    h->v = weak(s, h->v.b * mul, h->x + h->w.a);
    h->w = weak(s + 32, h->z + h->w.b, h->y + fetch64(s + 16));
    uint64_t t = h->z;
    h->z = h->x;
    h->x = t;
}

uint64_t kp_fingerprint64(const char *s, size_t n)
{
    if (n <= 64)
        return n <= 16 ? hash_to_16(s, n) : n <= 32 ? hash_to_32(s, n) : hash_to_64(s, n);
    blocks h = {.x = 81, .y = 81 * k1 + 113};
    const char *end = s + (n - 1) / 64 * 64, *last = s + n - 64;
    h.z = mix(h.y * k2 + 113) * k2;
    h.x = h.x * k2 + fetch64(s);
    for (; s != end; s += 64)
        block(&h, s, k1, 1);
    uint64_t mul = k1 + ((h.z & 0xff) << 1);
    h.w.a += (n - 1) & 63;
    h.v.a += h.w.a;
    h.w.a += h.v.a;
    block(&h, last, mul, 9);
    return hash16(hash16(h.v.a, h.w.a, mul) + mix(h.y) * k0 + h.z, hash16(h.v.b, h.w.b, mul) + h.x,
                  mul);
}

static void sip_rounds(uint64_t *v, int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 51) ^ v[0];
        v[3] = rotate(v[3], 48) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 47) ^ v[2];
        v[3] = rotate(v[3], 43) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t kp_siphash(const uint64_t key[2], const char *s, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; n -= 8, s += 8) {
        v[3] ^= fetch64(s);
        sip_rounds(v, 2);
        v[0] ^= fetch64(s);
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)(uint8_t)s[i] << (8 * i);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

kp_text kp_decimal(int64_t v, char *buf)
{
    int n = snprintf(buf, KP_DECIMAL, "%lld", (long long)v);
    return (kp_text){buf, (size_t)n};
}

int64_t kp_hash_bin(const kp_hashing *h, kp_text t)
{
    uint64_t v = h->salted ? kp_siphash(h->key, t.data, t.size) : kp_fingerprint64(t.data, t.size);
    return (int64_t)(v % h->bins);
}
