/* Scaling of pixel values as keras.applications' preprocess_input does it: the modes tf, torch and
 * caffe, and a free form. Formulas: keras/src/applications/imagenet_utils.py. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

static void init(kp_scaling *s)
{
    memset(s, 0, sizeof *s);
    s->divisor = 1;
    s->scale = 1;
    for (int i = 0; i < 4; i++)
        s->std[i] = 1;
}

/* "a:b:c" into v; the number of values, or -1. */
static int parse_values(const char *text, size_t len, float *v)
{
    const char *end = text + len;
    int n = 0;
    while (text < end && n < 4) {
        char *stop;
        v[n] = strtof(text, &stop);
        if (stop == text || stop > end || !isfinite(v[n]))
            return -1;
        n++;
        text = stop;
        if (text == end)
            return n;
        if (*text++ != ':')
            return -1;
    }
    return -1;
}

static int parse_free(const char *text, kp_scaling *out)
{
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, ",");
        const char *eq = memchr(at, '=', len);
        size_t key = eq != NULL ? (size_t)(eq - at) : 0;
        float v[4];
        int n = eq != NULL ? parse_values(eq + 1, len - key - 1, v) : -1;
        bool is_mean = key == 4 && memcmp(at, "mean", 4) == 0;
        bool is_std = key == 3 && memcmp(at, "std", 3) == 0;
        if (n == 1 && key == 5 && memcmp(at, "scale", 5) == 0) {
            out->scale = v[0];
        } else if (n > 0 && (is_mean || is_std)) {
            if (n > 1 && out->n_channels > 1 && out->n_channels != n)
                return kp_fail(KP_EUSAGE,
                               "preprocess \"%s\": mean and std name different numbers "
                               "of channels",
                               text);
            for (int i = 0; i < 4; i++)
                (is_mean ? out->mean : out->std)[i] = n == 1 ? v[0] : i < n ? v[i] : (float)is_std;
            if (n > 1)
                out->n_channels = n;
        } else {
            return kp_fail(KP_EUSAGE,
                           "preprocess \"%s\": cannot read \"%.*s\"; write "
                           "scale=S,mean=A:B:C,std=A:B:C",
                           text, (int)len, at);
        }
        at += len;
        if (*at == ',')
            at++;
    }
    for (int i = 0; i < 4; i++) {
        if (out->std[i] == 0)
            return kp_fail(KP_EUSAGE, "preprocess \"%s\": std must not be 0", text);
    }
    return 0;
}

int kp_scaling_parse(const char *text, kp_scaling *out)
{
    static const float torch_mean[3] = {0.485f, 0.456f, 0.406f};
    static const float torch_std[3] = {0.229f, 0.224f, 0.225f};
    static const float caffe_mean[3] = {103.939f, 116.779f, 123.68f};
    init(out);
    if (strcmp(text, "none") == 0) {
        out->identity = true;
    } else if (strcmp(text, "tf") == 0) {
        out->divisor = 127.5f;
        for (int i = 0; i < 4; i++)
            out->mean[i] = 1;
    } else if (strcmp(text, "torch") == 0) {
        out->divisor = 255;
        out->n_channels = 3;
        memcpy(out->mean, torch_mean, sizeof torch_mean);
        memcpy(out->std, torch_std, sizeof torch_std);
    } else if (strcmp(text, "caffe") == 0) {
        out->reverse_channels = true;
        out->n_channels = 3;
        memcpy(out->mean, caffe_mean, sizeof caffe_mean);
    } else if (strncmp(text, "scale=", 6) == 0 || strncmp(text, "mean=", 5) == 0 ||
               strncmp(text, "std=", 4) == 0) {
        return parse_free(text, out);
    } else {
        return kp_fail(KP_EUSAGE,
                       "preprocess \"%s\" is not known; choose none, tf, torch, caffe, "
                       "scale=S,mean=A:B:C,std=A:B:C or plugin:FILE.so",
                       text);
    }
    return 0;
}

float kp_scaling_apply(const kp_scaling *s, float x, int c)
{
    if (s->identity)
        return x;
    if (s->divisor != 1)
        x /= s->divisor;
    if (s->scale != 1)
        x *= s->scale;
    x -= s->mean[c & 3];
    return s->std[c & 3] != 1 ? x / s->std[c & 3] : x;
}
