/* keras.ops of one operand, element by element. */
#include "lower/build.h"

/* What becomes of the operand's type first. */
typedef enum rule {
    AS_IT_IS,
    FLOATS,     /* integers and booleans as float32 */
    WIDE,       /* the same, but int64 as float64 */
    COUNTS,     /* booleans as int32 */
    WHOLE_STAYS /* nothing to do for integers and booleans */
} rule;

#define ONE(kind, rule) ((int)(kind) | (int)(rule) << 8)

static kp_dtype operand_type(rule r, kp_dtype t)
{
    if (kp_dtype_is_integer(t) && (r == FLOATS || r == WIDE))
        return r == WIDE && t == KP_INT64 ? KP_FLOAT64 : KP_FLOAT32;
    return r == COUNTS && t == KP_BOOL ? KP_INT32 : t;
}

static int do_single(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    rule r = (rule)(c->variant >> 8);
    kp_value *x = c->in[0];
    *out = x;
    if (r == WHOLE_STAYS && kp_dtype_is_integer(x->dtype))
        return 0;
    KP_TRY(kp_lw_cast(w, operand_type(r, x->dtype), x, &x));
    return kp_lw_unary(w, (kp_act){.kind = (kp_act_kind)(c->variant & 0xff)}, x, out);
}

static int do_same(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    (void)w;
    *out = c->in[0];
    return 0;
}

static int do_not(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x;
    KP_TRY(kp_lw_truth(w, c->in[0], &x));
    return kp_lw_not(w, x, out);
}

/* Keras multiplies by a constant of the type. */
static int do_angle_unit(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *pi, *half_turn, *factor;
    KP_TRY(kp_lw_cast(w, operand_type(WIDE, c->in[0]->dtype), c->in[0], &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, M_PI, &pi));
    KP_TRY(kp_lw_scalar(w, x->dtype, 180, &half_turn));
    KP_TRY(kp_lw_pair(w, KP_BIN_DIV, c->variant ? half_turn : pi, c->variant ? pi : half_turn,
                      &factor));
    return kp_lw_pair(w, KP_BIN_MUL, x, factor, out);
}

/* Of an integer: 1 / x without its fraction. */
static int do_reciprocal(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0];
    bool whole = kp_dtype_is_integer(x->dtype);
    KP_TRY(kp_lw_cast(w, whole ? KP_FLOAT64 : x->dtype, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_RECIPROCAL}, x, &x));
    return kp_lw_cast(w, c->in[0]->dtype, x, out);
}

/* ---- questions about floats; of integers the answer is known ---- */

static int do_question(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_act_kind kind = (kp_act_kind)c->variant;
    kp_value *x = c->in[0];
    if (!kp_dtype_is_integer(x->dtype))
        return kp_lw_unary(w, (kp_act){.kind = kind}, x, out);
    return kp_lw_filled(w, KP_BOOL, kind == KP_ACT_IS_FINITE, x, out);
}

static int do_is_one_infinity(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *infinity;
    if (kp_dtype_is_integer(x->dtype))
        return kp_lw_filled(w, KP_BOOL, 0, x, out);
    KP_TRY(kp_lw_scalar(w, x->dtype, c->variant * (double)INFINITY, &infinity));
    return kp_lw_pair(w, KP_BIN_EQUAL, x, infinity, out);
}

static int do_sign_bit(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *zero;
    if (!kp_dtype_is_integer(x->dtype))
        return kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGN_BIT}, x, out);
    KP_TRY(kp_lw_scalar(w, x->dtype, 0, &zero));
    return kp_lw_pair(w, KP_BIN_LESS, x, zero, out);
}

/* ---- real numbers seen as complex ones ---- */

static int do_isreal(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_lw_filled(w, KP_BOOL, 1, c->in[0], out);
}

static int do_imag(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    return kp_lw_filled(w, c->in[0]->dtype, 0, c->in[0], out);
}

/* pi below 0, else 0. */
static int do_angle(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *zero, *pi, *below;
    KP_TRY(kp_lw_cast(w, operand_type(FLOATS, c->in[0]->dtype), c->in[0], &x));
    KP_TRY(kp_lw_scalar(w, x->dtype, 0, &zero));
    KP_TRY(kp_lw_scalar(w, x->dtype, M_PI, &pi));
    KP_TRY(kp_lw_pair(w, KP_BIN_LESS, x, zero, &below));
    return kp_lw_select(w, below, pi, zero, out);
}

/* ---- with parameters ---- */

/* Keras: to float32 for integers, then times 10^decimals, rounded half to even, and back. */
static int do_round(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x = c->in[0], *factor;
    int64_t decimals;
    KP_TRY(kp_cfg_int(c->layer, "decimals", 0, &decimals));
    *out = x;
    if (kp_dtype_is_integer(x->dtype) && decimals >= 0)
        return 0;
    KP_TRY(kp_lw_cast(w, operand_type(FLOATS, x->dtype), x, &x));
    if (decimals == 0)
        return kp_lw_unary(w, (kp_act){.kind = KP_ACT_ROUND}, x, out);
    /* TensorFlow makes the factor a float32 first. */
    KP_TRY(kp_lw_scalar(w, x->dtype, (double)(float)pow(10, (double)decimals), &factor));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x, factor, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ROUND}, x, &x));
    KP_TRY(kp_lw_pair(w, KP_BIN_DIV, x, factor, &x));
    return kp_lw_cast(w, c->in[0]->dtype, x, out);
}

static int do_clip(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *bound;
    KP_TRY(kp_lw_cast(w, operand_type(COUNTS, c->in[0]->dtype), c->in[0], &x));
    if (!kp_lw_is_null(c->layer, "x_max")) {
        KP_TRY(kp_lw_config_array(w, c->layer, "x_max", x->dtype, &bound));
        KP_TRY(kp_lw_pair(w, KP_BIN_MIN, x, bound, &x));
    }
    if (!kp_lw_is_null(c->layer, "x_min")) {
        KP_TRY(kp_lw_config_array(w, c->layer, "x_min", x->dtype, &bound));
        KP_TRY(kp_lw_pair(w, KP_BIN_MAX, x, bound, &x));
    }
    *out = x;
    return 0;
}

static double largest(kp_dtype t)
{
    switch (t) {
    case KP_FLOAT16:
        return 65504;
    case KP_BFLOAT16:
        return 0x1.fep127;
    case KP_FLOAT32:
        return 0x1.fffffep127;
    default:
        return 0x1.fffffffffffffp1023;
    }
}

/* x with `v` in the places that hold `bad`. */
static int replace(kp_lw *w, kp_value *bad, double v, kp_value *x, kp_value **out)
{
    kp_value *by;
    KP_TRY(kp_lw_scalar(w, x->dtype, v, &by));
    return kp_lw_select(w, bad, by, x, out);
}

static int replace_infinity(kp_lw *w, double sign, double v, kp_value *x, kp_value **out)
{
    kp_value *infinity, *bad;
    KP_TRY(kp_lw_scalar(w, x->dtype, sign * (double)INFINITY, &infinity));
    KP_TRY(kp_lw_pair(w, KP_BIN_EQUAL, x, infinity, &bad));
    return replace(w, bad, v, x, out);
}

static int without_specials(kp_lw *w, double nan, double high, double low, kp_value *x,
                            kp_value **out)
{
    kp_value *bad;
    *out = x;
    if (kp_dtype_is_integer(x->dtype))
        return 0;
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, x, &bad));
    KP_TRY(replace(w, bad, nan, x, &x));
    KP_TRY(replace_infinity(w, 1, high, x, &x));
    return replace_infinity(w, -1, low, x, out);
}

int kp_lw_nan_to_num(kp_lw *w, double nan, kp_value *x, kp_value **out)
{
    return without_specials(w, nan, largest(x->dtype), -largest(x->dtype), x, out);
}

static int do_nan_to_num(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    double nan, high, low, most = largest(c->in[0]->dtype);
    KP_TRY(kp_cfg_float(c->layer, "nan", 0, &nan));
    KP_TRY(kp_cfg_float(c->layer, "posinf", most, &high));
    KP_TRY(kp_cfg_float(c->layer, "neginf", -most, &low));
    return without_specials(w, nan, high, low, c->in[0], out);
}

const kp_lw_entry kp_lw_single_operations[] = {
    {"Absolute", do_single, ONE(KP_ACT_ABS, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Abs", do_single, ONE(KP_ACT_ABS, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Fabs", do_single, ONE(KP_ACT_ABS, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Negative", do_single, ONE(KP_ACT_NEG, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sign", do_single, ONE(KP_ACT_SIGN, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Square", do_single, ONE(KP_ACT_SQUARE, COUNTS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sqrt", do_single, ONE(KP_ACT_SQRT, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cbrt", do_single, ONE(KP_ACT_CBRT, WIDE), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Exp", do_single, ONE(KP_ACT_EXP, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Exp2", do_single, ONE(KP_ACT_EXP2, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Expm1", do_single, ONE(KP_ACT_EXPM1, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Log", do_single, ONE(KP_ACT_LOG, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Log1p", do_single, ONE(KP_ACT_LOG1P, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Log2", do_single, ONE(KP_ACT_LOG2, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Log10", do_single, ONE(KP_ACT_LOG10, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sin", do_single, ONE(KP_ACT_SIN, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cos", do_single, ONE(KP_ACT_COS, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Tan", do_single, ONE(KP_ACT_TAN, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arcsin", do_single, ONE(KP_ACT_ASIN, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arccos", do_single, ONE(KP_ACT_ACOS, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arctan", do_single, ONE(KP_ACT_ATAN, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sinh", do_single, ONE(KP_ACT_SINH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Cosh", do_single, ONE(KP_ACT_COSH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Tanh", do_single, ONE(KP_ACT_TANH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arcsinh", do_single, ONE(KP_ACT_ASINH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arccosh", do_single, ONE(KP_ACT_ACOSH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Arctanh", do_single, ONE(KP_ACT_ATANH, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Sinc", do_single, ONE(KP_ACT_SINC, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"I0", do_single, ONE(KP_ACT_I0, WIDE), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Ceil", do_single, ONE(KP_ACT_CEIL, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Floor", do_single, ONE(KP_ACT_FLOOR, FLOATS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"Trunc", do_single, ONE(KP_ACT_TRUNC, WHOLE_STAYS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"BitwiseInvert", do_single, ONE(KP_ACT_INVERT, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"BitwiseNot", do_single, ONE(KP_ACT_INVERT, AS_IT_IS), KP_LW_ONE, KP_LW_MASK_DROP},
    {"LogicalNot", do_not, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Reciprocal", do_reciprocal, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Deg2rad", do_angle_unit, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Rad2deg", do_angle_unit, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isnan", do_question, KP_ACT_IS_NAN, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isinf", do_question, KP_ACT_IS_INF, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isfinite", do_question, KP_ACT_IS_FINITE, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isneginf", do_is_one_infinity, -1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isposinf", do_is_one_infinity, 1, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Signbit", do_sign_bit, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Isreal", do_isreal, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Real", do_same, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Imag", do_imag, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conjugate", do_same, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Conj", do_same, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Copy", do_same, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Angle", do_angle, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Round", do_round, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"Clip", do_clip, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {"NanToNum", do_nan_to_num, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
