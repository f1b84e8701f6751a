/* HDF5 in place. Its structures are made of numbers of 8 bytes at offsets that are multiples of 8:
 * addresses, sizes of axes, lengths. One of them is changed to a neighbour, to another one of the
 * file, or to what parsers get wrong. */
#include "mutate.h"

static uint64_t word_at(const uint8_t *bytes, size_t at)
{
    uint64_t v;
    memcpy(&v, bytes + at, sizeof v);
    return v;
}

/* Looks like an address or a size: neither zero nor larger than the file. */
static bool find_word(kp_rng *r, const uint8_t *bytes, size_t size, size_t *at)
{
    for (int i = 0; i < 200; i++) {
        *at = kp_rng_pick(r, size / 8) * 8;
        uint64_t v = word_at(bytes, *at);
        if (v != 0 && v <= size)
            return true;
    }
    return false;
}

static uint64_t new_word(kp_rng *r, const uint8_t *bytes, size_t size, uint64_t old)
{
    size_t other;
    switch (kp_rng_pick(r, 8)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    case 2:
        return old * 2;
    case 3:
        return old + 8 * (1 + kp_rng_pick(r, 16));
    case 4:
        return (uint64_t)1 << kp_rng_pick(r, 64);
    case 5:
        return size - kp_rng_pick(r, 64);
    case 6:
        return kp_rng_pick(r, 3) - 1;
    default:
        return find_word(r, bytes, size, &other) ? word_at(bytes, other) : 0;
    }
}

/* A byte of a header: versions, classes, flags, counts. */
static void change_byte(kp_rng *r, uint8_t *bytes, size_t size)
{
    for (int i = 0; i < 50; i++) {
        size_t at = kp_rng_pick(r, size);
        if (bytes[at] == 0 || bytes[at] > 32)
            continue;
        bytes[at] = (uint8_t)(kp_rng_pick(r, 2) == 0 ? kp_rng_pick(r, 33) : kp_rng_pick(r, 256));
        return;
    }
}

void kp_mutate_h5(kp_rng *r, uint8_t *bytes, size_t size)
{
    size_t at;
    if (size < 64)
        return;
    if (kp_rng_pick(r, 4) == 0) {
        change_byte(r, bytes, size);
    } else if (find_word(r, bytes, size, &at)) {
        uint64_t v = new_word(r, bytes, size, word_at(bytes, at));
        memcpy(bytes + at, &v, sizeof v);
    }
}
