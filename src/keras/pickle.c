/* The stack machine of a pickle, with the instructions of protocols 2 to 4 that arrays need. */
#include "keras/pickle.h"

#include "keras/pickle_int.h"

enum { MAX_VALUES = 1 << 20 }; /* a variable takes about 30 */

typedef kp_pickle_value value;

struct values {
    value **items;
    size_t n, room;
};

struct machine {
    kp_arena *mem;
    const uint8_t *p, *end;
    struct values stack, memo;
    int made;
    bool stopped;
};

static int damaged(void)
{
    return kp_fail(KP_EMODEL, "the pickle is damaged or cut off");
}

/* ---- values ---- */

/* Room for index n of a growing array. */
static int grow(struct machine *m, value ***items, size_t *room, size_t n)
{
    if (n < *room)
        return 0;
    if (n >= MAX_VALUES)
        return kp_fail(KP_EMODEL, "the pickle holds more than %d values", MAX_VALUES);
    size_t more = n < 8 ? 16 : 2 * n;
    value **grown = kp_arena_array(m->mem, more, sizeof(value *));
    if (grown == NULL)
        return KP_ENOMEM;
    if (*room > 0)
        memcpy(grown, *items, *room * sizeof(value *));
    *items = grown;
    *room = more;
    return 0;
}

static int push(struct machine *m, value *v)
{
    KP_TRY(grow(m, &m->stack.items, &m->stack.room, m->stack.n));
    m->stack.items[m->stack.n++] = v;
    return 0;
}

static int push_new(struct machine *m, kp_pickle_kind kind, value **out)
{
    if (++m->made > MAX_VALUES)
        return kp_fail(KP_EMODEL, "the pickle holds more than %d values", MAX_VALUES);
    *out = kp_arena_alloc(m->mem, sizeof **out);
    if (*out == NULL)
        return KP_ENOMEM;
    (*out)->kind = kind;
    return push(m, *out);
}

static int push_int(struct machine *m, kp_pickle_kind kind, int64_t integer)
{
    value *v;
    KP_TRY(push_new(m, kind, &v));
    v->integer = integer;
    return 0;
}

static value *pop(struct machine *m)
{
    return m->stack.n > 0 && m->stack.items[m->stack.n - 1]->kind != KP_PICKLE_MARK
               ? m->stack.items[--m->stack.n]
               : NULL;
}

/* The number of values above the last mark, which goes away; SIZE_MAX without a mark. */
static size_t above_mark(struct machine *m, value ***items)
{
    size_t n = 0;
    while (n < m->stack.n && m->stack.items[m->stack.n - 1 - n]->kind != KP_PICKLE_MARK)
        n++;
    if (n == m->stack.n)
        return SIZE_MAX;
    *items = m->stack.items + m->stack.n - n;
    m->stack.n -= n + 1;
    return n;
}

/* ---- operands ---- */

static int take_number(struct machine *m, size_t width, uint64_t *out)
{
    *out = 0;
    if ((size_t)(m->end - m->p) < width)
        return damaged();
    for (size_t i = 0; i < width; i++)
        *out |= (uint64_t)m->p[i] << (8 * i);
    m->p += width;
    return 0;
}

/* A length of `width` bytes and as many bytes of content. */
static int push_bytes(struct machine *m, size_t width, kp_pickle_kind kind)
{
    uint64_t n;
    value *v;
    KP_TRY(take_number(m, width, &n));
    if ((uint64_t)(m->end - m->p) < n)
        return damaged();
    KP_TRY(push_new(m, kind, &v));
    v->bytes = m->p;
    v->n = (size_t)n;
    m->p += n;
    return 0;
}

static int push_signed(struct machine *m, size_t width)
{
    uint64_t n;
    KP_TRY(take_number(m, width, &n));
    return push_int(m, KP_PICKLE_INT, width == 4 ? (int32_t)n : (int64_t)n);
}

/* A two's complement number of up to 8 bytes. */
static int push_long(struct machine *m)
{
    uint64_t width, n;
    KP_TRY(take_number(m, 1, &width));
    if (width > 8)
        return kp_fail(KP_EMODEL, "the pickle holds a number of more than 64 bits");
    KP_TRY(take_number(m, (size_t)width, &n));
    unsigned unused = 64 - 8 * (unsigned)width;
    return push_int(m, KP_PICKLE_INT, width == 0 ? 0 : (int64_t)(n << unused) >> unused);
}

/* ---- names ---- */

static bool is_within(const char *name, const char *package)
{
    size_t n = strlen(package);
    return strncmp(name, package, n) == 0 && name[n] == '.';
}

/* Keras and what its variables are made of. That a name is known runs nothing. */
static int push_name(struct machine *m, const uint8_t *module, size_t module_size,
                     const uint8_t *name, size_t name_size)
{
    static const char *const packages[] = {"numpy", "ml_dtypes", "keras", "tensorflow", "jax"};
    if (module_size > 200 || name_size > 200)
        return damaged();
    char *text = kp_arena_printf(m->mem, "%.*s.%.*s", (int)module_size, (const char *)module,
                                 (int)name_size, (const char *)name);
    if (text == NULL)
        return KP_ENOMEM;
    bool known = strcmp(text, "functools.partial") == 0;
    for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
        known = known || is_within(text, packages[i]);
    if (!known)
        return kp_fail(KP_EMODEL,
                       "the pickle asks for %s: only arrays are read from it, code from a file is "
                       "never run",
                       text);
    value *v;
    KP_TRY(push_new(m, KP_PICKLE_NAME, &v));
    v->text = text;
    return 0;
}

static int take_line(struct machine *m, const uint8_t **line, size_t *n)
{
    const uint8_t *end = memchr(m->p, '\n', (size_t)(m->end - m->p));
    if (end == NULL)
        return damaged();
    *line = m->p;
    *n = (size_t)(end - m->p);
    m->p = end + 1;
    return 0;
}

static int global_lines(struct machine *m)
{
    const uint8_t *module = NULL, *name = NULL;
    size_t module_size = 0, name_size = 0;
    KP_TRY(take_line(m, &module, &module_size));
    KP_TRY(take_line(m, &name, &name_size));
    return push_name(m, module, module_size, name, name_size);
}

static int global_stack(struct machine *m)
{
    const value *name = pop(m), *module = pop(m);
    if (name == NULL || module == NULL || name->kind != KP_PICKLE_TEXT ||
        module->kind != KP_PICKLE_TEXT)
        return damaged();
    return push_name(m, module->bytes, module->n, name->bytes, name->n);
}

/* ---- containers ---- */

static int push_tuple(struct machine *m, size_t n, value **items)
{
    value *v;
    value **own = kp_arena_array(m->mem, n + 1, sizeof *own);
    if (own == NULL)
        return KP_ENOMEM;
    if (n > 0)
        memcpy(own, items, n * sizeof *own);
    KP_TRY(push_new(m, KP_PICKLE_TUPLE, &v));
    v->items = own;
    v->n = n;
    return 0;
}

static int small_tuple(struct machine *m, size_t n)
{
    value *items[3];
    for (size_t i = n; i-- > 0;) {
        items[i] = pop(m);
        if (items[i] == NULL)
            return damaged();
    }
    return push_tuple(m, n, items);
}

static int marked_tuple(struct machine *m)
{
    value **items = NULL;
    size_t n = above_mark(m, &items);
    return n == SIZE_MAX ? damaged() : push_tuple(m, n, items);
}

/* Adds n values to the list or dictionary on top of the stack. */
static int append(struct machine *m, kp_pickle_kind kind, size_t n, value **items)
{
    value *to = m->stack.n > 0 ? m->stack.items[m->stack.n - 1] : NULL;
    if (to == NULL || to->kind != kind || (kind == KP_PICKLE_DICT && n % 2 != 0))
        return damaged();
    for (size_t i = 0; i < n; i++) {
        KP_TRY(grow(m, &to->items, &to->room, to->n));
        to->items[to->n++] = items[i];
    }
    return 0;
}

static int append_some(struct machine *m, kp_pickle_kind kind, size_t n)
{
    value *items[2];
    for (size_t i = n; i-- > 0;) {
        items[i] = pop(m);
        if (items[i] == NULL)
            return damaged();
    }
    return append(m, kind, n, items);
}

static int append_marked(struct machine *m, kp_pickle_kind kind)
{
    value **items = NULL;
    size_t n = above_mark(m, &items);
    return n == SIZE_MAX ? damaged() : append(m, kind, n, items);
}

/* ---- memory and calls ---- */

static int put(struct machine *m, uint64_t index)
{
    if (m->stack.n == 0 || index > m->memo.n)
        return damaged();
    KP_TRY(grow(m, &m->memo.items, &m->memo.room, m->memo.n));
    m->memo.items[index] = m->stack.items[m->stack.n - 1];
    m->memo.n += index == m->memo.n;
    return 0;
}

static int get(struct machine *m, uint64_t index)
{
    return index < m->memo.n ? push(m, m->memo.items[index]) : damaged();
}

static int put_numbered(struct machine *m, size_t width)
{
    uint64_t index;
    KP_TRY(take_number(m, width, &index));
    return put(m, index);
}

static int get_numbered(struct machine *m, size_t width)
{
    uint64_t index;
    KP_TRY(take_number(m, width, &index));
    return get(m, index);
}

static int call(struct machine *m)
{
    const value *args = pop(m), *callable = pop(m);
    value *v;
    if (args == NULL || callable == NULL)
        return damaged();
    KP_TRY(push_new(m, KP_PICKLE_NONE, &v));
    return kp_pickle_call(m->mem, callable, args, v);
}

static int build(struct machine *m)
{
    const value *state = pop(m);
    value *object = pop(m);
    if (state == NULL || object == NULL)
        return damaged();
    KP_TRY(kp_pickle_set_state(m->mem, object, state));
    return push(m, object);
}

/* ---- instructions ---- */

static int skip(struct machine *m, size_t n)
{
    if ((size_t)(m->end - m->p) < n)
        return damaged();
    m->p += n;
    return 0;
}

static int containers(struct machine *m, uint8_t code)
{
    value *v;
    switch (code) {
    case '(':
        return push_new(m, KP_PICKLE_MARK, &v);
    case ')':
        return push_tuple(m, 0, NULL);
    case 0x85:
    case 0x86:
    case 0x87:
        return small_tuple(m, (size_t)code - 0x84);
    case 't':
        return marked_tuple(m);
    case ']':
        return push_new(m, KP_PICKLE_LIST, &v);
    case '}':
        return push_new(m, KP_PICKLE_DICT, &v);
    case 'a':
        return append_some(m, KP_PICKLE_LIST, 1);
    case 'e':
        return append_marked(m, KP_PICKLE_LIST);
    case 0x8f: /* EMPTY_SET */
        return push_new(m, KP_PICKLE_OTHER, &v);
    case 's':
        return append_some(m, KP_PICKLE_DICT, 2);
    case 'u':
        return append_marked(m, KP_PICKLE_DICT);
    default:
        return kp_fail(KP_EMODEL, "the pickle has an instruction 0x%02x that no array needs", code);
    }
}

static int step(struct machine *m, uint8_t code)
{
    switch (code) {
    case 0x80: /* PROTO */
        return skip(m, 1);
    case 0x95: /* FRAME */
        return skip(m, 8);
    case '.':
        m->stopped = true;
        return 0;
    case 'N':
        return push_int(m, KP_PICKLE_NONE, 0);
    case 0x88:
    case 0x89:
        return push_int(m, KP_PICKLE_BOOL, code == 0x88);
    case 'K':
        return push_signed(m, 1);
    case 'M':
        return push_signed(m, 2);
    case 'J':
        return push_signed(m, 4);
    case 0x8a:
        return push_long(m);
    case 'G': /* BINFLOAT */
        KP_TRY(skip(m, 8));
        return push_int(m, KP_PICKLE_OTHER, 0);
    case 0x8c:
        return push_bytes(m, 1, KP_PICKLE_TEXT);
    case 'X':
        return push_bytes(m, 4, KP_PICKLE_TEXT);
    case 0x8d:
        return push_bytes(m, 8, KP_PICKLE_TEXT);
    case 'C':
        return push_bytes(m, 1, KP_PICKLE_BYTES);
    case 'B':
        return push_bytes(m, 4, KP_PICKLE_BYTES);
    case 0x8e:
        return push_bytes(m, 8, KP_PICKLE_BYTES);
    case 'c':
        return global_lines(m);
    case 0x93:
        return global_stack(m);
    case 'q':
        return put_numbered(m, 1);
    case 'r':
        return put_numbered(m, 4);
    case 0x94:
        return put(m, m->memo.n);
    case 'h':
        return get_numbered(m, 1);
    case 'j':
        return get_numbered(m, 4);
    case 'R':
    case 0x81: /* NEWOBJ */
        return call(m);
    case 'b':
        return build(m);
    default:
        return containers(m, code);
    }
}

/* ---- the result ---- */

static int visit_dict(struct machine *m, const value *dict, kp_pickle_visit visit, void *ctx)
{
    for (size_t i = 0; i < dict->n; i += 2) {
        const value *key = dict->items[i];
        const kp_weight *array;
        if (key->kind != KP_PICKLE_TEXT)
            return kp_fail(KP_EMODEL, "the pickle's dictionary has a key that is not text");
        KP_TRY(kp_pickle_find(m->mem, dict->items[i + 1], &array));
        const char *name = kp_arena_strndup(m->mem, (const char *)key->bytes, key->n);
        if (name == NULL)
            return KP_ENOMEM;
        if (strlen(name) != key->n)
            return kp_fail(KP_EMODEL, "the pickle's dictionary has a key without a proper name");
        KP_TRY(visit(ctx, name, array));
    }
    return 0;
}

int kp_pickle_arrays(kp_arena *mem, const uint8_t *bytes, size_t size, kp_pickle_visit visit,
                     void *ctx)
{
    struct machine m = {.mem = mem, .p = bytes, .end = bytes + size};
    while (!m.stopped) {
        if (m.p == m.end)
            return damaged();
        uint8_t code = *m.p++;
        KP_TRY(step(&m, code));
    }
    const value *v = pop(&m);
    if (v != NULL && v->kind == KP_PICKLE_ARRAY && v->built && v->dtype == KP_DTYPE_NONE &&
        v->array.ndim == 0 && v->n == 1)
        v = v->items[0];
    if (v == NULL || v->kind != KP_PICKLE_DICT)
        return kp_fail(KP_EMODEL, "the pickle does not hold a dictionary of arrays");
    return visit_dict(&m, v, visit, ctx);
}
