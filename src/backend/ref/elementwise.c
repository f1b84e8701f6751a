/* Functions of single elements and of pairs: floats in double, integers exactly. */
#include "backend/ref/ref_int.h"

#include <math.h>

/* ---- one operand ---- */

static int64_t apply_int(kp_act_kind kind, int64_t x, bool has_sign)
{
    uint64_t u = (uint64_t)x;
    bool negative = has_sign && x < 0;
    switch (kind) {
    case KP_ACT_NEG:
        return (int64_t)(0 - u);
    case KP_ACT_ABS:
        return negative ? (int64_t)(0 - u) : x;
    case KP_ACT_SQUARE:
        return (int64_t)(u * u);
    case KP_ACT_SIGN:
        return negative ? -1 : x != 0;
    case KP_ACT_INVERT:
        return ~x;
    default: /* KP_ACT_NOT */
        return x == 0;
    }
}

static bool is_exact(kp_act_kind kind)
{
    return kind == KP_ACT_NEG || kind == KP_ACT_ABS || kind == KP_ACT_SQUARE ||
           kind == KP_ACT_SIGN || kind == KP_ACT_INVERT || kind == KP_ACT_NOT;
}

int kp_ref_unary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    const kp_act *act = &n->attr.unary.act;
    int64_t count = kp_tensor_count(out);
    if (kp_dtype_is_integer(in[0].dtype) && is_exact(act->kind)) {
        bool has_sign = in[0].dtype >= KP_INT8 && in[0].dtype <= KP_INT64;
        for (int64_t i = 0; i < count; i++)
            kp_tensor_put_int(out, i, apply_int(act->kind, kp_tensor_get_int(&in[0], i), has_sign));
        return 0;
    }
    for (int64_t i = 0; i < count; i++)
        kp_tensor_put(out, i, kp_act_apply(act, kp_tensor_get(&in[0], i)));
    return 0;
}

/* ---- two floats ---- */

double kp_ref_round(kp_dtype dtype, double v)
{
    if (dtype == KP_FLOAT32)
        return (double)(float)v;
    kp_tensor t = {.dtype = dtype, .data = &v};
    if (dtype != KP_FLOAT64) {
        uint64_t element; /* room for any type: the compiler cannot know that it is a half */
        t.data = &element;
        kp_tensor_put(&t, 0, v);
        return kp_tensor_get(&t, 0);
    }
    return v;
}

/* The larger (or smaller) of two; not a number wins, as in TensorFlow. */
static double extreme(double a, double b, bool larger)
{
    if (isnan(a) || isnan(b))
        return a + b;
    return (a > b) == larger ? a : b;
}

static double floor_mod(double a, double b)
{
    double r = fmod(a, b);
    return r != 0 && (b < 0) != (r < 0) ? r + b : r;
}

/* log(base^a + base^b), ln2 being the base's logarithm. */
static double log_add(double a, double b, double ln)
{
    double delta = a - b;
    return isnan(delta) ? a + b : fmax(a, b) + log1p(exp(-fabs(delta) * ln)) / ln;
}

/* Of two legs by Keras' formula: not a number when both are infinite. */
static double length_of(double a, double b)
{
    double longer = extreme(a, b, true), shorter = extreme(a, b, false);
    double ratio = longer == 0 ? 0 : shorter / longer;
    return longer * sqrt(1 + ratio * ratio);
}

static bool compare(kp_binary_kind kind, double a, double b)
{
    switch (kind) {
    case KP_BIN_EQUAL:
        return a == b;
    case KP_BIN_NOT_EQUAL:
        return a != b;
    case KP_BIN_LESS:
        return a < b;
    case KP_BIN_LESS_EQUAL:
        return a <= b;
    case KP_BIN_GREATER:
        return a > b;
    default:
        return a >= b;
    }
}

static double combine(kp_binary_kind kind, double a, double b, kp_dtype dtype)
{
    switch (kind) {
    case KP_BIN_ADD:
        return a + b;
    case KP_BIN_SUB:
        return a - b;
    case KP_BIN_MUL:
        return a * b;
    case KP_BIN_DIV:
        return a / b;
    case KP_BIN_POW:
        return pow(a, b);
    case KP_BIN_MAX:
    case KP_BIN_MIN:
        return extreme(a, b, kind == KP_BIN_MAX);
    case KP_BIN_FLOOR_DIV: /* the quotient is rounded to the type before it is cut off */
        return floor(kp_ref_round(dtype, a / b));
    case KP_BIN_MOD:
        return floor_mod(a, b);
    case KP_BIN_FMAX:
        return fmax(a, b);
    case KP_BIN_FMIN:
        return fmin(a, b);
    case KP_BIN_DIV_NO_NAN:
        return b == 0 ? 0 : a / b;
    case KP_BIN_ATAN2:
        return atan2(a, b);
    case KP_BIN_HYPOT:
        return length_of(fabs(a), fabs(b));
    case KP_BIN_LOGADDEXP:
        return log_add(a, b, 1);
    case KP_BIN_LOGADDEXP2:
        return log_add(a, b, M_LN2);
    case KP_BIN_HEAVISIDE:
        return a < 0 ? 0 : a > 0 ? 1 : b;
    case KP_BIN_NEXT_AFTER:
        return nextafter(a, b);
    default:
        return compare(kind, a, b);
    }
}

/* ---- two integers ---- */

static uint64_t magnitude(int64_t v, bool has_sign)
{
    return has_sign && v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static int64_t gcd(int64_t a, int64_t b, bool has_sign)
{
    uint64_t x = magnitude(a, has_sign), y = magnitude(b, has_sign);
    while (y != 0) {
        uint64_t r = x % y;
        x = y;
        y = r;
    }
    return (int64_t)x;
}

/* b >= 0 unless a is 1 or -1; other powers below 0 are 0. */
static int64_t power(int64_t a, int64_t b, bool has_sign)
{
    uint64_t base = (uint64_t)a, result = 1, n = (uint64_t)b;
    if (has_sign && b < 0) {
        if (a != 1 && a != -1)
            return 0;
        n = 0 - n;
    }
    for (; n != 0; n >>= 1, base *= base)
        if (n & 1)
            result *= base;
    return (int64_t)result;
}

static int64_t shift(int64_t a, int64_t b, int width, bool has_sign, bool left)
{
    int by = b < 0 ? 0 : b > width - 1 ? width - 1 : (int)b;
    if (left)
        return (int64_t)((uint64_t)a << by);
    return has_sign ? a >> by : (int64_t)((uint64_t)a >> by);
}

/* b is not 0. -2^63 / -1 wraps around. */
static int64_t floor_div(int64_t a, int64_t b, bool has_sign, bool remainder)
{
    if (!has_sign)
        return (int64_t)(remainder ? (uint64_t)a % (uint64_t)b : (uint64_t)a / (uint64_t)b);
    if (b == -1)
        return remainder ? 0 : (int64_t)(0 - (uint64_t)a);
    int64_t q = a / b, r = a % b;
    bool down = r != 0 && (r < 0) != (b < 0);
    return remainder ? (down ? r + b : r) : q - down;
}

static bool less(int64_t a, int64_t b, bool has_sign)
{
    return has_sign ? a < b : (uint64_t)a < (uint64_t)b;
}

static int64_t combine_logic(kp_binary_kind kind, int64_t a, int64_t b, bool has_sign)
{
    switch (kind) {
    case KP_BIN_EQUAL:
        return a == b;
    case KP_BIN_NOT_EQUAL:
    case KP_BIN_XOR:
        return a != b;
    case KP_BIN_LESS:
        return less(a, b, has_sign);
    case KP_BIN_LESS_EQUAL:
        return !less(b, a, has_sign);
    case KP_BIN_GREATER:
        return less(b, a, has_sign);
    case KP_BIN_GREATER_EQUAL:
        return !less(a, b, has_sign);
    case KP_BIN_AND:
        return a & b;
    default:
        return a | b;
    }
}

static int64_t combine_int(kp_binary_kind kind, int64_t a, int64_t b, kp_dtype dtype)
{
    bool has_sign = dtype >= KP_INT8 && dtype <= KP_INT64;
    int width = (int)kp_dtype_size(dtype) * 8;
    switch (kind) {
    case KP_BIN_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case KP_BIN_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case KP_BIN_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case KP_BIN_MAX:
    case KP_BIN_FMAX:
        return less(a, b, has_sign) ? b : a;
    case KP_BIN_MIN:
    case KP_BIN_FMIN:
        return less(b, a, has_sign) ? b : a;
    case KP_BIN_POW:
        return power(a, b, has_sign);
    case KP_BIN_FLOOR_DIV:
    case KP_BIN_MOD:
        return floor_div(a, b, has_sign, kind == KP_BIN_MOD);
    case KP_BIN_GCD:
        return gcd(a, b, has_sign);
    case KP_BIN_BIT_AND:
        return a & b;
    case KP_BIN_BIT_OR:
        return a | b;
    case KP_BIN_BIT_XOR:
        return a ^ b;
    case KP_BIN_SHIFT_LEFT:
    case KP_BIN_SHIFT_RIGHT:
        return shift(a, b, width, has_sign, kind == KP_BIN_SHIFT_LEFT);
    default:
        return combine_logic(kind, a, b, has_sign);
    }
}

static int combine_ints(const kp_node *n, const kp_tensor *in, kp_tensor *out, kp_walk *a,
                        kp_walk *b)
{
    kp_binary_kind kind = n->attr.binary.kind;
    bool divides = kind == KP_BIN_FLOOR_DIV || kind == KP_BIN_MOD;
    int64_t count = kp_tensor_count(out);
    for (int64_t i = 0; i < count; i++, kp_walk_next(a), kp_walk_next(b)) {
        int64_t y = kp_tensor_get_int(&in[1], b->index);
        if (divides && y == 0)
            return kp_node_fail(n, KP_EINVAL, "an integer is divided by 0");
        int64_t v = combine_int(kind, kp_tensor_get_int(&in[0], a->index), y, in[0].dtype);
        kp_tensor_put_int(out, i, v);
        if (n->act.kind != KP_ACT_NONE)
            kp_tensor_put(out, i, kp_act_apply(&n->act, kp_tensor_get(out, i)));
    }
    return 0;
}

int kp_ref_binary(const kp_node *n, const kp_tensor *in, int n_in, kp_tensor *out)
{
    (void)n_in;
    int64_t stride[KP_MAX_DIMS] = {0}, count = kp_tensor_count(out);
    kp_dtype dtype = in[0].dtype;
    kp_walk a, b;
    kp_walk_broadcast(&in[0], out, stride);
    kp_walk_init(&a, out->shape, stride, out->ndim);
    kp_walk_broadcast(&in[1], out, stride);
    kp_walk_init(&b, out->shape, stride, out->ndim);
    if (kp_dtype_is_integer(dtype))
        return combine_ints(n, in, out, &a, &b);
    for (int64_t i = 0; i < count; i++) {
        double v = combine(n->attr.binary.kind, kp_tensor_get(&in[0], a.index),
                           kp_tensor_get(&in[1], b.index), dtype);
        if (n->act.kind != KP_ACT_NONE)
            v = kp_act_apply(&n->act, kp_ref_round(dtype, v));
        kp_tensor_put(out, i, v);
        kp_walk_next(&a);
        kp_walk_next(&b);
    }
    return 0;
}
