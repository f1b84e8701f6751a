/* Functions of mathematics that the C library lacks, in double. */
#include "backend/ref/ref_int.h"

#include <math.h>

double kp_ref_i0(double x)
{
    double q = x * x / 4, term = 1, sum = 1;
    if (!isfinite(x)) /* as TensorFlow */
        return (double)NAN;
    if (fabs(x) > 713) /* beyond the range of double */
        return (double)INFINITY;
    for (int k = 1; term > sum * 1e-17; k++) {
        term *= q / ((double)k * k);
        sum += term;
    }
    return sum;
}

/* A start within 1e-2 (Winitzki's formula), then Newton's steps on the complement. */
double kp_ref_erfinv(double y)
{
    if (!(fabs(y) < 1))
        return fabs(y) == 1 ? copysign((double)INFINITY, y) : (double)NAN;
    const double a = 0.147;
    double l = log1p(-y * y), t = 2 / (M_PI * a) + l / 2;
    double x = copysign(sqrt(sqrt(t * t - l / a) - t), y);
    for (int i = 0; i < 4 && x != 0; i++) {
        double above = 1 - fabs(y) - erfc(fabs(x)); /* exact where erf is near 1 */
        double error = fabs(y) <= 0.5 ? erf(x) - y : y > 0 ? above : -above;
        double step = error / (M_2_SQRTPI * exp(-x * x));
        x -= step / (1 + x * step); /* Halley */
    }
    return x;
}

/* Upwards by the recurrence, then the asymptotic series; below 0 by reflection. */
double kp_ref_digamma(double x)
{
    double sum = 0;
    if (x <= 0 && x == floor(x))
        return x == 0 ? copysign((double)INFINITY, -x) : (double)NAN;
    if (x < 0)
        return kp_ref_digamma(1 - x) - M_PI / tan(M_PI * x);
    for (; x < 10; x++)
        sum -= 1 / x;
    double r = 1 / (x * x);
    return sum + log(x) - 0.5 / x -
           r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r / 132))));
}

double kp_ref_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}
