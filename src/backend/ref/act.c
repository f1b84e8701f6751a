/* The elementwise functions, in double. Formulas: Keras 3's activations and ops. */
#include "backend/ref/ref_int.h"

#include <math.h>

static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* Between low and high; not a number stays. */
static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double relu(const kp_act *act, double x)
{
    double slope = act->a, max = act->b, threshold = act->c;
    if (isnan(x)) /* what is not above a threshold is 0 */
        return slope == 0 && threshold != 0 ? 0 : x;
    double y = x > threshold ? x : 0;
    if (!isinf(max))
        y = clip(y, 0, max);
    return slope != 0 && x < threshold ? y - slope * (threshold - x) : y;
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + (double)0.044715f * x * x * x)));
}

static double selu(double x)
{
    const double alpha = 1.6732632423543772848170429916717;
    const double scale = 1.0507009873554804934193349852946;
    return scale * (x > 0 ? x : alpha * expm1(x));
}

static double sparse_plus(double x)
{
    return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;
}

static double soft_shrink(double x, double t)
{
    return x > t ? x - t : x < -t ? x + t : x - x;
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

/* What is true or false of a number, and where it is cut off. */
static double apply_steps(const kp_act *act, double x)
{
    switch (act->kind) {
    case KP_ACT_CEIL:
        return ceil(x);
    case KP_ACT_FLOOR:
        return floor(x);
    case KP_ACT_TRUNC:
        return trunc(x);
    case KP_ACT_ROUND:
        return rint(x);
    case KP_ACT_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : x;
    case KP_ACT_IS_NAN:
        return isnan(x);
    case KP_ACT_IS_INF:
        return isinf(x);
    case KP_ACT_IS_FINITE:
        return isfinite(x);
    case KP_ACT_SIGN_BIT:
        return signbit(x) != 0;
    default:
        return x;
    }
}

static double apply_trigonometry(const kp_act *act, double x)
{
    switch (act->kind) {
    case KP_ACT_SIN:
        return sin(x);
    case KP_ACT_COS:
        return cos(x);
    case KP_ACT_TAN:
        return tan(x);
    case KP_ACT_ASIN:
        return asin(x);
    case KP_ACT_ACOS:
        return acos(x);
    case KP_ACT_ATAN:
        return atan(x);
    case KP_ACT_SINH:
        return sinh(x);
    case KP_ACT_COSH:
        return cosh(x);
    case KP_ACT_ASINH:
        return asinh(x);
    case KP_ACT_ACOSH:
        return acosh(x);
    case KP_ACT_ATANH:
        return atanh(x);
    case KP_ACT_SINC:
        return sinc(x);
    default:
        return apply_steps(act, x);
    }
}

/* The plain functions of mathematics. */
static double apply_plain(const kp_act *act, double x)
{
    switch (act->kind) {
    case KP_ACT_EXP:
        return exp(x);
    case KP_ACT_EXP2:
        return exp2(x);
    case KP_ACT_EXPM1:
        return expm1(x);
    case KP_ACT_NEG:
        return -x;
    case KP_ACT_ABS:
        return fabs(x);
    case KP_ACT_SQUARE:
        return x * x;
    case KP_ACT_SQRT:
        return sqrt(x);
    case KP_ACT_RSQRT:
        return 1 / sqrt(x);
    case KP_ACT_CBRT:
        return cbrt(x);
    case KP_ACT_LOG:
        return log(x);
    case KP_ACT_LOG1P:
        return log1p(x);
    case KP_ACT_LOG2:
        return log2(x);
    case KP_ACT_LOG10:
        return log10(x);
    case KP_ACT_RECIPROCAL:
        return 1 / x;
    case KP_ACT_LINEAR:
        return (double)act->a * x + (double)act->b;
    case KP_ACT_I0:
        return kp_ref_i0(x);
    case KP_ACT_ERF:
        return erf(x);
    case KP_ACT_ERFC:
        return erfc(x);
    case KP_ACT_ERFINV:
        return kp_ref_erfinv(x);
    case KP_ACT_LGAMMA:
        return kp_ref_lgamma(x);
    case KP_ACT_DIGAMMA:
        return kp_ref_digamma(x);
    default:
        return apply_trigonometry(act, x);
    }
}

double kp_act_apply(const kp_act *act, double x)
{
    double a = act->a, b = act->b;
    switch (act->kind) {
    case KP_ACT_RELU:
        return relu(act, x);
    case KP_ACT_ELU:
        return x > 0 ? x : a * expm1(x);
    case KP_ACT_CELU:
        return x > 0 ? x : a * expm1(x / a);
    case KP_ACT_SELU:
        return selu(x);
    case KP_ACT_GELU:
        return 0.5 * x * erfc(-x * (double)0.70710678118f); /* TensorFlow's factor */
    case KP_ACT_GELU_TANH:
        return gelu_tanh(x);
    case KP_ACT_SILU:
        return x * sigmoid(x);
    case KP_ACT_HARD_SILU:
        return x * clip(x / 6 + 0.5, 0, 1);
    case KP_ACT_MISH:
        return x * tanh(softplus(x));
    case KP_ACT_SIGMOID:
        return sigmoid(x);
    case KP_ACT_HARD_SIGMOID:
        return clip(a * x + b, 0, 1);
    case KP_ACT_LOG_SIGMOID:
        return -softplus(-x);
    case KP_ACT_TANH:
        return tanh(x);
    case KP_ACT_HARD_TANH:
        return clip(x, -1, 1);
    case KP_ACT_TANH_SHRINK:
        return x - tanh(x);
    case KP_ACT_SOFTPLUS:
        return softplus(x);
    case KP_ACT_SOFTSIGN:
        return x / (1 + fabs(x));
    case KP_ACT_HARD_SHRINK:
        return fabs(x) > a ? x : x - x;
    case KP_ACT_SOFT_SHRINK:
        return soft_shrink(x, a);
    case KP_ACT_SPARSE_PLUS:
        return sparse_plus(x);
    case KP_ACT_SPARSE_SIGMOID:
        return clip(0.5 * (x + 1), 0, 1);
    case KP_ACT_SQUAREPLUS:
        return (x + sqrt(x * x + a)) / 2;
    case KP_ACT_THRESHOLD:
        return x > a ? x : b;
    default:
        return apply_plain(act, x);
    }
}
