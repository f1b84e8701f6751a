/*
 * Prints what the reader of Keras files sees.
 *   keras_dump MODEL             format, layers, calls, inputs and outputs
 *   keras_dump MODEL --weights   reads lines "PATH<TAB>SUB<TAB>INDEX<TAB>NAME" from stdin and
 * prints type, shape and CRC-32 of each variable, then what was not asked for A failure prints
 * "error: " and the text, exit 1.
 */
#include "keras/keras.h"

#include <stdlib.h>
#include <zlib.h>

static void print_arg(const kp_arg *a)
{
    switch (a->kind) {
    case KP_ARG_NONE:
        printf("None");
        break;
    case KP_ARG_REF:
        printf("#%d.%d", a->ref.call, a->ref.tensor);
        break;
    case KP_ARG_BOOL:
        printf("%s", a->boolean ? "True" : "False");
        break;
    case KP_ARG_INT:
        printf("%lld", (long long)a->integer);
        break;
    case KP_ARG_FLOAT:
        printf("%.9g", a->real);
        break;
    case KP_ARG_STR:
        printf("'%s'", a->str);
        break;
    case KP_ARG_ELLIPSIS:
        printf("...");
        break;
    case KP_ARG_CONST:
        printf("const");
        break;
    case KP_ARG_LIST:
    case KP_ARG_DICT:
    case KP_ARG_SLICE:
        printf("%s", a->kind == KP_ARG_LIST ? "[" : a->kind == KP_ARG_DICT ? "{" : "slice(");
        for (int i = 0; i < a->n_items; i++) {
            printf("%s", i > 0 ? ", " : "");
            if (a->kind == KP_ARG_DICT)
                printf("%s: ", a->keys[i]);
            print_arg(&a->items[i]);
        }
        printf("%s", a->kind == KP_ARG_LIST ? "]" : a->kind == KP_ARG_DICT ? "}" : ")");
    }
}

static void print_refs(const char *what, const kp_arg *structure, const kp_ref *refs, int n)
{
    printf("  %s ", what);
    print_arg(structure);
    printf(" =");
    for (int i = 0; i < n; i++)
        printf(" #%d.%d", refs[i].call, refs[i].tensor);
    printf("\n");
}

static void print_model(const kp_layer *owner)
{
    const kp_layers *m = owner->model;
    printf("model %s %s\n", owner->path, m->sequential ? "sequential" : "functional");
    for (int i = 0; i < m->n_layers; i++) {
        const kp_layer *l = m->layers[i];
        printf("  layer %s %s%s%s %s %s%s\n", l->path, l->class_name,
               l->is_operation ? " operation" : "", l->is_custom ? " custom" : "",
               kp_dtype_name(l->policy.compute), kp_dtype_name(l->policy.variable),
               l->trainable ? "" : " frozen");
        for (int j = 0; j < l->n_inner; j++)
            printf("    inner %s %s %s\n", l->inner_key[j], l->inner[j]->path,
                   l->inner[j]->class_name);
    }
    for (int i = 0; i < m->n_calls; i++) {
        printf("  #%d %s/%d ", i, m->calls[i].layer->name, m->calls[i].node_index);
        print_arg(&m->calls[i].args);
        printf(" ");
        print_arg(&m->calls[i].kwargs);
        printf("\n");
    }
    print_refs("inputs", &m->inputs, m->flat_inputs, m->n_inputs);
    print_refs("outputs", &m->outputs, m->flat_outputs, m->n_outputs);
    for (int i = 0; i < m->n_layers; i++)
        if (m->layers[i]->model != NULL)
            print_model(m->layers[i]);
}

static kp_layer *find_layer(kp_layer *l, const char *path)
{
    if (l->parent != NULL && strcmp(l->path, path) == 0)
        return l;
    kp_layer *found = NULL;
    for (int i = 0; i < l->n_inner && found == NULL; i++)
        found = find_layer(l->inner[i], path);
    for (int i = 0; l->model != NULL && i < l->model->n_layers && found == NULL; i++)
        found = find_layer(l->model->layers[i], path);
    return found;
}

static int print_weight(kp_keras *k, const char *path, const char *sub, int index, const char *name)
{
    kp_layer *l = find_layer(kp_keras_root(k), path);
    if (l == NULL) {
        printf("error: no layer %s\n", path);
        return 1;
    }
    kp_weight w;
    if (kp_keras_weight(k, l, sub, index, name, -1, NULL, &w) != 0) {
        printf("error: %s\n", kp_errmsg());
        return 1;
    }
    char shape[KP_SHAPE_TEXT];
    printf("%s\t%s\t%d\t%s\t%s\t%s\t%08lx\t%d\n", path, sub, index, name, kp_dtype_name(w.dtype),
           kp_shape_text(w.shape, w.ndim, shape, sizeof shape), crc32_z(0, w.data, w.size_bytes),
           kp_keras_weight_count(k, l, sub));
    return 0;
}

static int print_weights(kp_keras *k)
{
    char line[4096];
    int failed = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *fields[4] = {line};
        int n = 1;
        for (char *p = line; n < 4 && (p = strchr(p, '\t')) != NULL; n++) {
            *p++ = '\0';
            fields[n] = p;
        }
        if (n == 4)
            failed |= print_weight(k, fields[0], fields[1], atoi(fields[2]), fields[3]);
    }
    if (kp_keras_check_unused(k) != 0)
        printf("unused: %s\n", kp_errmsg());
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    double start = kp_now_s();
    kp_keras *k;
    if (kp_keras_open(&k, argv[1], NULL) != 0) {
        printf("error: %s\n", kp_errmsg());
        return 1;
    }
    int failed = 0;
    if (argc > 2 && strcmp(argv[2], "--weights") == 0) {
        failed = print_weights(k);
    } else if (argc > 2 && strcmp(argv[2], "--time") == 0) {
        printf("%.6f\n", kp_now_s() - start);
    } else {
        static const char *const formats[] = {"keras-v3", "keras-v2-zip", "legacy-h5"};
        printf("%s version \"%s\" major %d backend \"%s\"\n", formats[kp_keras_format_of(k)],
               kp_keras_version(k), kp_keras_major(k), kp_keras_backend(k));
        print_model(kp_keras_root(k));
    }
    kp_keras_close(&k);
    return failed;
}
