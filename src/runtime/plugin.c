/* Plug-ins with user layers: opening shared objects and checking what they bring. */
#include "runtime/plugin.h"

#include <dlfcn.h>

enum { CLASSES_MAX = 10000 };

typedef const kp_layer_plugin *entry_fn(void);

static int open_file(kp_plugins *p, const char *path, const kp_layer_plugin **out)
{
    /* A bare name is a file here, not one of the system's libraries. */
    char here[4096];
    bool bare = strchr(path, '/') == NULL;
    if (snprintf(here, sizeof here, "%s%s", bare ? "./" : "", path) >= (int)sizeof here)
        return kp_fail(KP_EUSAGE, "the plug-in's path is too long");
    void *so = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    if (so == NULL)
        return kp_fail(KP_EUSAGE, "plug-in \"%s\" cannot be opened: %s", path, dlerror());
    p->so[p->n_so++] = so;
    void *symbol = dlsym(so, "kp_layer_entry");
    if (symbol == NULL)
        return kp_fail(KP_EUSAGE,
                       "\"%s\" is no plug-in with layers: it exports no kp_layer_entry%s", path,
                       dlsym(so, "kp_preprocess_entry") != NULL
                           ? " (it is one for preprocessing: use --preprocess plugin:FILE.so)"
                           : "");
    entry_fn *entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from object to function pointer */
    *out = entry();
    if (*out == NULL || (*out)->abi_version != KP_LAYER_ABI)
        return kp_fail(KP_EUSAGE,
                       "plug-in \"%s\" was built for another version of the interface (%u, this "
                       "is %d): build it again with this kpredict's layer.h",
                       path, *out != NULL ? (*out)->abi_version : 0, KP_LAYER_ABI);
    if ((*out)->n_classes == 0 || (*out)->n_classes > CLASSES_MAX || (*out)->classes == NULL)
        return kp_fail(KP_EUSAGE, "plug-in \"%s\" brings no classes", path);
    return 0;
}

static int add_class(kp_plugins *p, const char *path, const kp_layer_class *class)
{
    int status = kp_lower_check_class(class);
    if (status != 0)
        return kp_fail_prefix(status, "plug-in \"%s\"", path);
    for (size_t i = 0; i < p->n_classes; i++)
        if (strcmp(p->classes[i]->class_name, class->class_name) == 0)
            return kp_fail(KP_EUSAGE,
                           "plug-in \"%s\": the class %s is there already, from a "
                           "plug-in before it",
                           path, class->class_name);
    p->classes[p->n_classes++] = class;
    return 0;
}

static int add_plugin(kp_plugins *p, kp_arena *mem, const char *path)
{
    const kp_layer_plugin *plugin;
    KP_TRY(open_file(p, path, &plugin));
    const kp_layer_class **classes =
        kp_arena_array(mem, p->n_classes + plugin->n_classes, sizeof(kp_layer_class *));
    if (classes == NULL)
        return KP_ENOMEM;
    if (p->n_classes > 0)
        memcpy(classes, p->classes, p->n_classes * sizeof *classes);
    p->classes = classes;
    for (size_t i = 0; i < plugin->n_classes; i++)
        KP_TRY(add_class(p, path, &plugin->classes[i]));
    return 0;
}

int kp_plugins_open(kp_plugins *p, kp_arena *mem, const char *const *files, size_t n_files)
{
    *p = (kp_plugins){0};
    p->so = kp_arena_array(mem, n_files + 1, sizeof *p->so);
    if (p->so == NULL)
        return KP_ENOMEM;
    for (size_t i = 0; i < n_files; i++)
        KP_TRY(add_plugin(p, mem, files[i]));
    return 0;
}

void kp_plugins_close(kp_plugins *p)
{
    while (p->n_so > 0)
        dlclose(p->so[--p->n_so]);
}
