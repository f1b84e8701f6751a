/* The values of a pickle while it is read; shared by pickle.c (the machine), pickle_numpy.c (what
 * NumPy writes) and pickle_find.c (where arrays are in what others write). */
#ifndef KP_KERAS_PICKLE_INT_H
#define KP_KERAS_PICKLE_INT_H

#include "keras/pickle.h"

typedef enum kp_pickle_kind {
    KP_PICKLE_NONE,
    KP_PICKLE_BOOL,  /* integer: 0 or 1 */
    KP_PICKLE_INT,   /* integer */
    KP_PICKLE_TEXT,  /* bytes */
    KP_PICKLE_BYTES, /* bytes */
    KP_PICKLE_TUPLE, /* items */
    KP_PICKLE_LIST,  /* items */
    KP_PICKLE_DICT,  /* items: key, value, key, value, ... */
    KP_PICKLE_NAME,  /* text */
    KP_PICKLE_DTYPE, /* dtype, big_endian */
    KP_PICKLE_ARRAY, /* array; objects: items are its elements */
    KP_PICKLE_CALL,  /* the record of a call: callable, args, and the state set afterwards */
    KP_PICKLE_OTHER, /* what no array needs: a float, a set */
    KP_PICKLE_MARK
} kp_pickle_kind;

typedef struct kp_pickle_value kp_pickle_value;
struct kp_pickle_value {
    kp_pickle_kind kind;
    int64_t integer;
    const uint8_t *bytes;
    size_t n; /* bytes, items */
    kp_pickle_value **items;
    size_t room;      /* items that fit without growing */
    const char *text; /* "numpy.ndarray" */
    kp_dtype dtype;   /* KP_DTYPE_NONE: Python objects */
    bool big_endian;
    kp_weight array;
    bool built;
    const kp_pickle_value *callable, *args, *state;
};

bool kp_pickle_is_name(const kp_pickle_value *v, const char *text);
bool kp_pickle_is_tuple(const kp_pickle_value *v, size_t n);

/* callable(*args) and object.__setstate__(state): arrays and their types are made, anything else
 * becomes a record. */
int kp_pickle_call(kp_arena *mem, const kp_pickle_value *callable, const kp_pickle_value *args,
                   kp_pickle_value *out);
int kp_pickle_set_state(kp_arena *mem, kp_pickle_value *object, const kp_pickle_value *state);
/* The array that v is, or that the variable v holds. */
int kp_pickle_find(kp_arena *mem, const kp_pickle_value *v, const kp_weight **out);

#endif
