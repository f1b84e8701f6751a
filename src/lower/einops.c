/* keras.ops.rearrange: axes by name, taken apart, moved and put together. */
#include "lower/build.h"

enum { NAME_MAX_LENGTH = 32 };

/* One side of a pattern: names in order, and which axis of the array each belongs to. */
typedef struct side {
    int n, n_axes;
    char name[KP_MAX_DIMS][NAME_MAX_LENGTH];
    int axis[KP_MAX_DIMS];
    int64_t size[KP_MAX_DIMS]; /* -1: not known yet */
} side;

static bool word_char(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '_';
}

static int bad(const kp_lw_call *c, const char *why)
{
    return kp_fail(KP_EMODEL, "layer \"%s\" (Rearrange): the pattern %s", c->layer->path, why);
}

/* Names up to `end`; those in parentheses share an axis. */
static int parse(const kp_lw_call *c, const char *at, const char *end, side *s)
{
    bool group = false;
    *s = (side){0};
    while (at < end) {
        size_t length = 0;
        if (*at == '(' || *at == ')') {
            if (group == (*at == '('))
                return bad(c, "has parentheses that do not fit");
            group = *at == '(';
            s->n_axes += !group;
            at++;
            continue;
        }
        while (at + length < end && word_char(at[length]))
            length++;
        if (length == 0) {
            at++;
            continue;
        }
        if (s->n >= KP_MAX_DIMS || length >= NAME_MAX_LENGTH)
            return bad(c, "has too many or too long names");
        memcpy(s->name[s->n], at, length);
        s->size[s->n] = -1;
        s->axis[s->n++] = s->n_axes;
        s->n_axes += !group;
        at += length;
    }
    return group ? bad(c, "has a parenthesis that stays open") : 0;
}

/* Sizes of the names: given as arguments, the input's, or what is left of it. */
static int measure(const kp_lw_call *c, const kp_value *x, side *s)
{
    for (int i = 0; i < s->n; i++) {
        const kp_arg *a = kp_lw_keyword(c->call, s->name[i]);
        if (a && a->kind == KP_ARG_INT && a->integer > 0 && a->integer <= INT32_MAX)
            s->size[i] = a->integer;
    }
    for (int axis = 1; axis < s->n_axes; axis++) {
        int64_t known = 1, whole;
        int open = -1;
        KP_TRY(kp_lw_known(x, axis, &whole));
        for (int i = 0; i < s->n; i++) {
            if (s->axis[i] != axis)
                continue;
            if (s->size[i] < 0 && open >= 0)
                return bad(c, "leaves more than one size of an axis open");
            if (s->size[i] < 0)
                open = i;
            else if (__builtin_mul_overflow(known, s->size[i], &known))
                return bad(c, "has sizes that are too large");
        }
        if (open >= 0 && whole % known == 0)
            s->size[open] = whole / known;
        else if (open >= 0 || whole != known)
            return bad(c, "does not fit the sizes of the input");
    }
    return 0;
}

/* Where each name of the result stands in the input; the batch stays in front, alone. */
static int match(const kp_lw_call *c, const side *from, side *to, int *perm)
{
    if (from->n == 0 || from->n != to->n || (from->n > 1 && from->axis[1] == 0) ||
        (to->n > 1 && to->axis[1] == 0) || strcmp(from->name[0], to->name[0]) != 0)
        return from->n != to->n
                   ? bad(c, "names other axes in the result")
                   : kp_lw_rows_refused(c, "moves the batch, or joins it with other axes");
    for (int i = 0; i < to->n; i++) {
        perm[i] = -1;
        for (int k = 0; k < from->n; k++)
            if (strcmp(to->name[i], from->name[k]) == 0)
                perm[i] = k;
        if (perm[i] < 0)
            return bad(c, "names other axes in the result");
        to->size[i] = from->size[perm[i]];
    }
    return 0;
}

static int do_rearrange(kp_lw *w, const kp_lw_call *c, kp_value **out)
{
    const kp_arg *a = kp_lw_arg(c, 1, "pattern");
    const char *arrow = a && a->kind == KP_ARG_STR ? strstr(a->str, "->") : NULL;
    side from, to;
    int perm[KP_MAX_DIMS] = {0};
    int64_t dims[KP_MAX_DIMS] = {0};
    kp_value *x = c->in[0];
    if (!arrow)
        return bad(c, "is missing or has no arrow");
    KP_TRY(parse(c, a->str, arrow, &from));
    KP_TRY(parse(c, arrow + 2, arrow + strlen(arrow), &to));
    if (from.n_axes != x->ndim)
        return bad(c, "does not have the axes of the input");
    KP_TRY(match(c, &from, &to, perm));
    KP_TRY(measure(c, x, &from));
    KP_TRY(match(c, &from, &to, perm));
    KP_TRY(kp_lw_reshape(w, 1, from.size + 1, from.n - 1, x, &x));
    KP_TRY(kp_lw_transpose(w, perm, x, &x));
    for (int i = 0; i < to.n_axes; i++)
        dims[i] = 1;
    for (int i = 1; i < to.n; i++)
        dims[to.axis[i]] *= to.size[i];
    return kp_lw_reshape(w, 1, dims + 1, to.n_axes - 1, x, out);
}

const kp_lw_entry kp_lw_einops_operations[] = {
    {"Rearrange", do_rearrange, 0, KP_LW_ONE, KP_LW_MASK_DROP},
    {0},
};
