/* Elementwise functions on a vector; part of kernel_body.h. Formulas: Keras 3's, as in ref. */

/* e^x within 2 units in the last place: x = n ln 2 + r, a polynomial in r (Cephes' expf), the power
 * of two in two factors, so that results near the ends of the range come out right. */
INLINE VF v_exp(VF x)
{
    x = MIN(SET1(89.0f), x);
    x = MAX(SET1(-104.0f), x);
    VF n = ROUND(x * SET1(1.44269504088896341f));
    VF r = FMA(n, SET1(-0.693359375f), x);
    r = FMA(n, SET1(2.12194440e-4f), r);
    VF p = SET1(1.9875691500e-4f);
    p = FMA(p, r, SET1(1.3981999507e-3f));
    p = FMA(p, r, SET1(8.3334519073e-3f));
    p = FMA(p, r, SET1(4.1665795894e-2f));
    p = FMA(p, r, SET1(1.6666665459e-1f));
    p = FMA(p, r, SET1(5.0000001201e-1f));
    p = FMA(p, r * r, r + SET1(1.0f));
    VI i = TO_INT(n), half = HALF_INT(i);
    return p * POW2(half) * POW2(SUB_INT(i, half));
}

/* MAX and MIN in both orders agree unless an operand is NaN: then one of the two is that NaN, and
 * NaN joined with any bits is NaN, as numpy's maximum gives. */
INLINE VF v_join(VF x, VF y)
{
    return (VF)((VI)x | (VI)y);
}

INLINE VF v_sigmoid(VF x, const kp_act *act)
{
    (void)act;
    return SET1(1.0f) / (SET1(1.0f) + v_exp(SET1(0.0f) - x));
}

/* Near 0 a polynomial (Cephes' tanhf), elsewhere through e^2x. */
INLINE VF v_tanh(VF x, const kp_act *act)
{
    (void)act;
    VF z = x * x;
    VF p = SET1(-5.70498872745e-3f);
    p = FMA(p, z, SET1(2.06390887954e-2f));
    p = FMA(p, z, SET1(-5.37397155531e-2f));
    p = FMA(p, z, SET1(1.33314422036e-1f));
    p = FMA(p, z, SET1(-3.33332819422e-1f));
    VF near = FMA(p * z, x, x);
    VF far = SET1(1.0f) - SET1(2.0f) / (v_exp(x + x) + SET1(1.0f));
    return SELECT_GT(SET1(0.625f), ABS(x), near, far);
}

INLINE VF v_relu(VF x, const kp_act *act)
{
    return MIN(SET1((float)act->b), MAX(SET1(0.0f), x));
}

/* Keras: x > threshold passes (within 0..b when there is a cap), up to it a * (x - threshold); 0
 * without a slope, whatever x is. */
INLINE VF v_relu_general(VF x, const kp_act *act)
{
    VF below = SET1(0.0f);
    if (act->a != 0)
        below = SET1((float)act->a) * (x - SET1((float)act->c));
    VF above = act->b < INFINITY ? MAX(SET1(0.0f), MIN(SET1((float)act->b), x)) : x;
    return SELECT_GT(x, SET1((float)act->c), above, below);
}

INLINE VF v_elu(VF x, const kp_act *act)
{
    VF low = SET1((float)act->a) * (v_exp(MIN(SET1(0.0f), x)) - SET1(1.0f));
    return SELECT_GT(x, SET1(0.0f), x, low);
}

INLINE VF v_selu(VF x, const kp_act *act)
{
    (void)act;
    VF low = SET1(1.67326324235437728f) * (v_exp(MIN(SET1(0.0f), x)) - SET1(1.0f));
    return SET1(1.05070098735548049f) * SELECT_GT(x, SET1(0.0f), x, low);
}

/* Abramowitz and Stegun 7.1.26: the error of erf is below 1.5e-7. */
INLINE VF v_erf(VF x)
{
    VF a = ABS(x);
    VF t = SET1(1.0f) / FMA(SET1(0.3275911f), a, SET1(1.0f));
    VF p = SET1(1.061405429f);
    p = FMA(p, t, SET1(-1.453152027f));
    p = FMA(p, t, SET1(1.421413741f));
    p = FMA(p, t, SET1(-0.284496736f));
    p = FMA(p, t, SET1(0.254829592f));
    VF y = SET1(1.0f) - p * t * v_exp(SET1(0.0f) - a * a);
    return SELECT_GT(SET1(0.0f), x, SET1(0.0f) - y, y);
}

INLINE VF v_gelu(VF x, const kp_act *act)
{
    (void)act;
    return SET1(0.5f) * x * (SET1(1.0f) + v_erf(x * SET1(0.70710678118654752f)));
}

INLINE VF v_gelu_tanh(VF x, const kp_act *act)
{
    VF inner = SET1(0.79788456080286536f) * FMA(SET1(0.044715f) * x * x, x, x);
    return SET1(0.5f) * x * (SET1(1.0f) + v_tanh(inner, act));
}

INLINE VF v_silu(VF x, const kp_act *act)
{
    (void)act;
    return x / (SET1(1.0f) + v_exp(SET1(0.0f) - x));
}

INLINE VF clip01(VF x)
{
    return MIN(SET1(1.0f), MAX(SET1(0.0f), x));
}

INLINE VF v_hard_silu(VF x, const kp_act *act)
{
    (void)act;
    return x * clip01(FMA(x, SET1(1.0f / 6.0f), SET1(0.5f)));
}

INLINE VF v_hard_sigmoid(VF x, const kp_act *act)
{
    return clip01(FMA(x, SET1((float)act->a), SET1((float)act->b)));
}

/* x tanh(ln(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2); from 20 on it is x. */
INLINE VF v_mish(VF x, const kp_act *act)
{
    (void)act;
    VF e = v_exp(MIN(SET1(20.0f), x));
    VF n = e * (e + SET1(2.0f));
    return x * (n / (n + SET1(2.0f)));
}

INLINE VF v_softsign(VF x, const kp_act *act)
{
    (void)act;
    return x / (SET1(1.0f) + ABS(x));
}

INLINE VF v_exp_act(VF x, const kp_act *act)
{
    (void)act;
    return v_exp(x);
}

INLINE VF v_neg(VF x, const kp_act *act)
{
    (void)act;
    return -x;
}

INLINE VF v_abs(VF x, const kp_act *act)
{
    (void)act;
    return ABS(x);
}

INLINE VF v_square(VF x, const kp_act *act)
{
    (void)act;
    return x * x;
}

INLINE VF v_sqrt(VF x, const kp_act *act)
{
    (void)act;
    return SQRT(x);
}

INLINE VF v_reciprocal(VF x, const kp_act *act)
{
    (void)act;
    return SET1(1.0f) / x;
}

INLINE VF v_linear(VF x, const kp_act *act)
{
    return FMA(x, SET1((float)act->a), SET1((float)act->b));
}
