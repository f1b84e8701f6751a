/* keras.ops of two operands, element by element: arithmetic, comparisons, logic, bits. Either
 * operand may be a tensor, a Python number, a stored array. */
#include "lower/build.h"

/* How Keras finds the type in which it computes. */
typedef enum rule {
    WEAK,       /* numbers give way to the tensor */
    WEAK_FLOAT, /* the same, at least a float */
    FIRM,       /* numbers are int32 or float32 first */
    FIRM_COUNT, /* the same; booleans count as int32 */
    FIRM_FLOAT,
    FIRM_WIDE, /* integers as float32, those of 64 bits as float64 */
    LOGIC,     /* as bool */
    SHIFT      /* a Python number takes the tensor's type */
} rule;

/* What a table entry's variant holds. */
#define PAIR(kind, rule) ((int)(kind) | (int)(rule) << 8)

static int compute_type(rule r, const kp_lw_operand *a, const kp_lw_operand *b, kp_dtype *out)
{
    int types[3] = {a->type, b->type, KP_LW_WEAK_FLOAT};
    if (r == SHIFT && !b->value)
        types[1] = a->type;
    KP_TRY(kp_lw_result_type(types, r == WEAK_FLOAT || r == FIRM_FLOAT ? 3 : 2, out));
    if (r == LOGIC)
        *out = KP_BOOL;
    if (r == FIRM_COUNT && *out == KP_BOOL)
        *out = KP_INT32;
    if (r == FIRM_WIDE && kp_dtype_is_integer(*out) && *out != KP_BOOL)
        *out = *out == KP_INT64 ? KP_FLOAT64 : KP_FLOAT32;
    return 0;
}

static int operands_of(kp_lw *w, const kp_lw_call *c, rule r, const kp_arg *a, const kp_arg *b,
                       kp_lw_operand *x, kp_lw_operand *y)
{
    KP_TRY(kp_lw_operand_of(w, c, a, x));
    KP_TRY(kp_lw_operand_of(w, c, b, y));
    if (r != WEAK && r != WEAK_FLOAT && r != SHIFT) {
        kp_lw_operand_settle(x);
        kp_lw_operand_settle(y);
    }
    return 0;
}

/* x op number as one elementwise step where that is exact: x + n, x - n, x * n, n - x. */
static bool as_linear(kp_binary_kind kind, bool number_first, double v, double *scale,
                      double *shift)
{
    *scale = 1;
    *shift = 0;
    if (kind == KP_BIN_ADD)
        *shift = v;
    else if (kind == KP_BIN_MUL)
        *scale = v;
    else if (kind == KP_BIN_SUB && number_first)
        *scale = -1, *shift = v;
    else if (kind == KP_BIN_SUB)
        *shift = -v;
    else
        return false;
    return isfinite(v);
}

static int pair_of(kp_lw *w, kp_binary_kind kind, const kp_lw_operand *a, const kp_lw_operand *b,
                   kp_dtype type, kp_value **out)
{
    const kp_lw_operand *number = !a->value ? a : b;
    double scale, shift;
    double v = number->type == KP_LW_WEAK_INT ? (double)number->integer : number->real;
    bool one = (a->value == NULL) != (b->value == NULL);
    kp_value *x, *y;
    if (one && type == KP_FLOAT32 && as_linear(kind, !a->value, v, &scale, &shift)) {
        KP_TRY(kp_lw_operand_as(w, number == a ? b : a, type, &x));
        return kp_lw_linear(w, scale, shift, x, out);
    }
    KP_TRY(kp_lw_operand_as(w, a, type, &x));
    KP_TRY(kp_lw_operand_as(w, b, type, &y));
    return kp_lw_pair(w, kind, x, y, out);
}

int kp_lw_pair(kp_lw *w, kp_binary_kind kind, kp_value *a, kp_value *b, kp_value **out)
{
    kp_node n = {.op = KP_OP_BINARY, .attr.binary.kind = kind};
    return kp_lw_add(w, &n, (kp_value *[]){a, b}, 2, out);
}

int kp_lw_arithmetic(kp_lw *w, const kp_lw_call *c, kp_binary_kind kind, const kp_arg *a,
                     const kp_arg *b, kp_value **out)
{
    rule r = kind == KP_BIN_DIV ? WEAK_FLOAT : WEAK;
    kp_lw_operand x, y;
    kp_dtype type;
    KP_TRY(operands_of(w, c, r, a, b, &x, &y));
    KP_TRY(compute_type(r, &x, &y, &type));
    return pair_of(w, kind, &x, &y, type, out);
}

/* The two operands, whose names are x1 and x2, or x and y. */
static const kp_arg *first(const kp_lw_call *c)
{
    const kp_arg *a = kp_lw_arg(c, 0, "x1");
    return a ? a : kp_lw_keyword(c->call, "x");
}

static const kp_arg *second(const kp_lw_call *c)
{
    const kp_arg *a = kp_lw_arg(c, 1, "x2");
    return a ? a : kp_lw_keyword(c->call, "y");
}

static int do_pair(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    rule r = (rule)(c->variant >> 8);
    kp_lw_operand x, y;
    kp_dtype type;
    KP_TRY(operands_of(w, c, r, first(c), second(c), &x, &y));
    KP_TRY(compute_type(r, &x, &y, &type));
    return pair_of(w, (kp_binary_kind)(c->variant & 0xff), &x, &y, type, out);
}

int kp_lw_two(kp_lw *w, const kp_lw_call *c, bool at_least_float, kp_value **x, kp_value **y)
{
    rule r = at_least_float ? FIRM_FLOAT : FIRM;
    kp_lw_operand a, b;
    kp_dtype type;
    KP_TRY(operands_of(w, c, r, first(c), second(c), &a, &b));
    KP_TRY(compute_type(r, &a, &b, &type));
    KP_TRY(kp_lw_operand_as(w, &a, type, x));
    return kp_lw_operand_as(w, &b, type, y);
}

/* ---- composed ones ---- */

/* Keras: sign(x) * (|x| mod |y|). */
static int do_fmod(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *sign;
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    kp_dtype type = x->dtype == KP_BOOL ? KP_INT32 : x->dtype;
    bool wide = kp_dtype_is_float(type) || type == KP_INT64 || type < KP_UINT8;
    KP_TRY(kp_lw_cast(w, wide ? type : KP_INT32, x, &x));
    KP_TRY(kp_lw_cast(w, wide ? type : KP_INT32, y, &y));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_SIGN}, x, &sign));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, y, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_MOD, x, y, &x));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, sign, x, &x));
    return kp_lw_cast(w, type, x, out);
}

/* |x| * (|y| / gcd); of two zeros the divisor becomes 1 and the result 0. */
static int do_lcm(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *divisor, *one;
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, x, &x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, y, &y));
    KP_TRY(kp_lw_scalar(w, x->dtype, 1, &one));
    KP_TRY(kp_lw_pair(w, KP_BIN_GCD, x, y, &divisor));
    KP_TRY(kp_lw_pair(w, KP_BIN_MAX, divisor, one, &divisor));
    KP_TRY(kp_lw_pair(w, KP_BIN_FLOOR_DIV, y, divisor, &y));
    return kp_lw_pair(w, KP_BIN_MUL, x, y, out);
}

/* x * 2^y, and x where it is 0 or infinite. */
static int do_ldexp(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *v, *stays, *zero, *two;
    KP_TRY(kp_lw_two(w, c, true, &x, &y));
    KP_TRY(kp_lw_scalar(w, x->dtype, 0, &zero));
    KP_TRY(kp_lw_scalar(w, x->dtype, 2, &two));
    KP_TRY(kp_lw_pair(w, KP_BIN_POW, two, y, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, x, y, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_EQUAL, x, zero, &stays));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_INF}, x, &v));
    KP_TRY(kp_lw_either(w, stays, v, &stays));
    return kp_lw_select(w, stays, x, y, out);
}

/* Keras takes the step in float64, whatever the type. */
static int do_nextafter(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y;
    KP_TRY(kp_lw_two(w, c, true, &x, &y));
    kp_dtype type = x->dtype;
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    KP_TRY(kp_lw_cast(w, KP_FLOAT64, x, &x));
    KP_TRY(kp_lw_cast(w, KP_FLOAT64, y, &y));
    KP_TRY(kp_lw_pair(w, KP_BIN_NEXT_AFTER, x, y, &x));
    return kp_lw_cast(w, type, x, out);
}

static int tolerance(kp_lw *w, const kp_lw_call *c, int place, const char *key, double dflt,
                     kp_dtype type, kp_value **out)
{
    const kp_arg *a = kp_lw_arg(c, place, key);
    double v = dflt;
    if (a && !kp_lw_arg_number(a, &v))
        return kp_fail(KP_EMODEL, "layer \"%s\" (%s): \"%s\" is not a number", c->layer->path,
                       c->layer->class_name, key);
    return kp_lw_scalar(w, type, v, out);
}

/* |x - y| <= atol + rtol * |y|. */
static int do_isclose(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y, *limit, *v, *nan_x, *nan_y;
    bool equal_nan;
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    if (!kp_dtype_is_float(x->dtype))
        return kp_lw_pair(w, KP_BIN_EQUAL, x, y, out);
    KP_TRY(kp_cfg_bool(c->layer, "equal_nan", false, &equal_nan));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, y, &limit));
    KP_TRY(tolerance(w, c, 2, "rtol", 1e-5, x->dtype, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_MUL, v, limit, &limit));
    KP_TRY(tolerance(w, c, 3, "atol", 1e-8, x->dtype, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_ADD, v, limit, &limit));
    KP_TRY(kp_lw_pair(w, KP_BIN_SUB, x, y, &v));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_ABS}, v, &v));
    KP_TRY(kp_lw_pair(w, KP_BIN_LESS_EQUAL, v, limit, out));
    if (!equal_nan)
        return 0;
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, x, &nan_x));
    KP_TRY(kp_lw_unary(w, (kp_act){.kind = KP_ACT_IS_NAN}, y, &nan_y));
    KP_TRY(kp_lw_both(w, nan_x, nan_y, &v));
    return kp_lw_either(w, *out, v, out);
}

/* x == any of the second operand's elements, of which none may differ from row to row. */
static int do_isin(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    kp_value *x, *y;
    bool invert;
    KP_TRY(kp_lw_two(w, c, false, &x, &y));
    KP_TRY(kp_cfg_bool(c->layer, "invert", false, &invert));
    KP_TRY(kp_lw_flat(w, y, &y));
    KP_TRY(kp_lw_add_axis(w, x->ndim, x, &x));
    KP_TRY(kp_lw_pair(w, KP_BIN_EQUAL, x, y, &x));
    kp_axes last = {1, {x->ndim - 1}};
    KP_TRY(kp_lw_reduce(w, KP_RED_ANY, &last, false, x, &x));
    *out = x;
    return invert ? kp_lw_not(w, x, out) : 0;
}

#define TWO 1, 2, KP_LW_SAME, KP_LW_MASK_DROP

const kp_lw_entry kp_lw_pairs_operations[] = {
    {"Add", do_pair, PAIR(KP_BIN_ADD, WEAK), TWO},
    {"Subtract", do_pair, PAIR(KP_BIN_SUB, WEAK), TWO},
    {"Multiply", do_pair, PAIR(KP_BIN_MUL, WEAK), TWO},
    {"Divide", do_pair, PAIR(KP_BIN_DIV, WEAK_FLOAT), TWO},
    {"TrueDivide", do_pair, PAIR(KP_BIN_DIV, WEAK_FLOAT), TWO},
    {"DivideNoNan", do_pair, PAIR(KP_BIN_DIV_NO_NAN, WEAK_FLOAT), TWO},
    {"FloorDivide", do_pair, PAIR(KP_BIN_FLOOR_DIV, WEAK), TWO},
    {"Maximum", do_pair, PAIR(KP_BIN_MAX, WEAK), TWO},
    {"Minimum", do_pair, PAIR(KP_BIN_MIN, WEAK), TWO},
    {"Fmax", do_pair, PAIR(KP_BIN_FMAX, WEAK), TWO},
    {"Fmin", do_pair, PAIR(KP_BIN_FMIN, WEAK), TWO},
    {"Power", do_pair, PAIR(KP_BIN_POW, WEAK), TWO},
    {"Mod", do_pair, PAIR(KP_BIN_MOD, FIRM_COUNT), TWO},
    {"Fmod", do_fmod, 0, TWO},
    {"Arctan2", do_pair, PAIR(KP_BIN_ATAN2, FIRM_FLOAT), TWO},
    {"Hypot", do_pair, PAIR(KP_BIN_HYPOT, FIRM_WIDE), TWO},
    {"Logaddexp", do_pair, PAIR(KP_BIN_LOGADDEXP, FIRM_FLOAT), TWO},
    {"Logaddexp2", do_pair, PAIR(KP_BIN_LOGADDEXP2, FIRM_FLOAT), TWO},
    {"Heaviside", do_pair, PAIR(KP_BIN_HEAVISIDE, FIRM_WIDE), TWO},
    {"Nextafter", do_nextafter, 0, TWO},
    {"Ldexp", do_ldexp, 0, TWO},
    {"Gcd", do_pair, PAIR(KP_BIN_GCD, FIRM), TWO},
    {"Lcm", do_lcm, 0, TWO},
    {"BitwiseAnd", do_pair, PAIR(KP_BIN_BIT_AND, FIRM), TWO},
    {"BitwiseOr", do_pair, PAIR(KP_BIN_BIT_OR, FIRM), TWO},
    {"BitwiseXor", do_pair, PAIR(KP_BIN_BIT_XOR, FIRM), TWO},
    {"BitwiseLeftShift", do_pair, PAIR(KP_BIN_SHIFT_LEFT, SHIFT), TWO},
    {"LeftShift", do_pair, PAIR(KP_BIN_SHIFT_LEFT, SHIFT), TWO},
    {"BitwiseRightShift", do_pair, PAIR(KP_BIN_SHIFT_RIGHT, SHIFT), TWO},
    {"RightShift", do_pair, PAIR(KP_BIN_SHIFT_RIGHT, SHIFT), TWO},
    {"Equal", do_pair, PAIR(KP_BIN_EQUAL, FIRM), TWO},
    {"NotEqual", do_pair, PAIR(KP_BIN_NOT_EQUAL, FIRM), TWO},
    {"Less", do_pair, PAIR(KP_BIN_LESS, FIRM), TWO},
    {"LessEqual", do_pair, PAIR(KP_BIN_LESS_EQUAL, FIRM), TWO},
    {"Greater", do_pair, PAIR(KP_BIN_GREATER, FIRM), TWO},
    {"GreaterEqual", do_pair, PAIR(KP_BIN_GREATER_EQUAL, FIRM), TWO},
    {"LogicalAnd", do_pair, PAIR(KP_BIN_AND, LOGIC), TWO},
    {"LogicalOr", do_pair, PAIR(KP_BIN_OR, LOGIC), TWO},
    {"LogicalXor", do_pair, PAIR(KP_BIN_XOR, LOGIC), TWO},
    {"Isclose", do_isclose, 0, TWO},
    {"IsIn", do_isin, 0, TWO},
    {0},
};
