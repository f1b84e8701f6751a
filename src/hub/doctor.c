/* What the machine offers, what this build can use of it, and what would be gained by more. */
#include "base/base.h"

#include <dlfcn.h>
#include <gif_lib.h>
#include <jansson.h>
#include <jpeglib.h>
#include <libdeflate.h>
#include <png.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <webp/decode.h>
#include <zlib.h>

/* One line of the report: what it is about, whether it is as it should be, what was found. */
struct finding {
    const char *topic;
    bool good;
    char text[240];
    const char *advice; /* "" when there is nothing to do */
};

enum { FINDINGS_MAX = 12 };

struct report {
    struct finding list[FINDINGS_MAX];
    int n;
};

static char *add(struct report *r, const char *topic, bool good, const char *advice)
{
    struct finding *f = &r->list[r->n++];
    *f = (struct finding){.topic = topic, .good = good, .advice = advice};
    return f->text;
}

enum { TEXT = sizeof((struct finding *)0)->text };

static void look_at_cpu(struct report *r)
{
    const kp_machine *m = kp_machine_get();
    bool fast = m->avx2 && m->fma;
    char *text = add(r, "cpu", fast,
                     fast ? "" : "without AVX2 and FMA convolutions run several times slower");
    snprintf(text, TEXT, "%s, %d usable cores,%s%s%s%s", m->cpu_name, m->usable_cores,
             m->sse41 ? " SSE4.1" : "", m->avx2 ? " AVX2" : "", m->fma ? " FMA" : "",
             m->avx512 ? " AVX-512" : "");
}

static void look_at_memory(struct report *r)
{
    double gib = (double)kp_machine_get()->memory_bytes / (1 << 30);
    char *text = add(r, "memory", gib >= 1, gib >= 1 ? "" : "large models need more");
    snprintf(text, TEXT, "%.1f GiB may be used", gib);
}

/* The backend for it does not exist yet: a GPU that is there is told about all the same. */
static void look_at_gpu(struct report *r)
{
    bool there = access("/dev/nvidiactl", F_OK) == 0;
    char *text = add(r, "gpu", false,
                     there ? "predictions run on the CPU until there is a CUDA backend" : "");
    snprintf(text, TEXT,
             there ? "an NVIDIA device is there; this build has no CUDA backend"
                   : "none found, and this build has no CUDA backend");
}

static void look_at_images(struct report *r)
{
    snprintf(add(r, "images", true, ""), TEXT, "jpeg png bmp gif webp");
}

static void look_at_sandbox(struct report *r)
{
    snprintf(add(r, "sandbox", true, ""), TEXT,
             "workers: no new privileges, resource limits, closed descriptors, no environment");
}

static void look_at_limits(struct report *r)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    bool enough = files.rlim_cur >= 256;
    char *text =
        add(r, "limits", enough, enough ? "" : "raise it (ulimit -n 1024) for many workers");
    snprintf(text, TEXT, "%llu open files", (unsigned long long)files.rlim_cur);
}

static void look_at_system(struct report *r)
{
    struct utsname u = {0};
    uname(&u);
    snprintf(add(r, "system", true, ""), TEXT, "%.60s %.60s %.60s", u.sysname, u.release,
             u.machine);
}

/* Asked of the library itself, which is opened for this question only: a program that drives
 * pipelines has no compute library in its process. "missing" if it cannot be loaded. */
static const char *onednn_version(char *buf, size_t size)
{
    static const char *const names[] = {"libdnnl.so.2", "libdnnl.so.3"};
    struct head { /* how its version record begins, in all versions */
        int major, minor, patch;
    };
    snprintf(buf, size, "missing");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *so = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        const struct head *(*version)(void) = NULL;
        void *sym = so != NULL ? dlsym(so, "dnnl_version") : NULL;
        memcpy(&version, &sym, sizeof sym);
        if (version != NULL) {
            const struct head *v = version();
            snprintf(buf, size, "%d.%d.%d", v->major, v->minor, v->patch);
        }
        if (so != NULL)
            dlclose(so);
        if (version != NULL)
            break;
    }
    return buf;
}

static void look_at_libraries(struct report *r)
{
    char onednn[40];
    bool there = strcmp(onednn_version(onednn, sizeof onednn), "missing") != 0;
    char *text = add(r, "libraries", there, there ? "" : "without oneDNN no prediction can run");
    snprintf(text, TEXT,
             "oneDNN %s, libjpeg API %d, libpng %s, libwebp ABI %d.%d, giflib %d.%d.%d, zlib %s, "
             "libdeflate %s, jansson %s",
             onednn, JPEG_LIB_VERSION, PNG_LIBPNG_VER_STRING, WEBP_DECODER_ABI_VERSION >> 8,
             WEBP_DECODER_ABI_VERSION & 0xff, GIFLIB_MAJOR, GIFLIB_MINOR, GIFLIB_RELEASE,
             zlibVersion(), LIBDEFLATE_VERSION_STRING, jansson_version_str());
}

static void put_text(kp_buf *b, const struct report *r)
{
    for (int i = 0; i < r->n; i++) {
        const struct finding *f = &r->list[i];
        kp_buf_printf(b, "%-10s %-4s %s\n", f->topic, f->good ? "ok" : "-", f->text);
        if (f->advice[0] != '\0')
            kp_buf_printf(b, "%-15s %s\n", "", f->advice);
    }
    kp_buf_puts(b, "Next: kpredict summary YOUR_MODEL.keras\n");
}

static void put_json(kp_buf *b, const struct report *r)
{
    kp_buf_printf(b, "{\"version\":\"%s\"", kp_version());
    for (int i = 0; i < r->n; i++) {
        const struct finding *f = &r->list[i];
        kp_buf_printf(b, ",\"%s\":{\"ok\":%s,\"text\":", f->topic, f->good ? "true" : "false");
        kp_buf_json_string(b, f->text, strlen(f->text));
        kp_buf_puts(b, ",\"advice\":");
        kp_buf_json_string(b, f->advice, strlen(f->advice));
        kp_buf_puts(b, "}");
    }
    kp_buf_puts(b, "}\n");
}

static int hand_over(kp_buf *b, char **text)
{
    if (b->failed) {
        kp_buf_free(b);
        return kp_fail(KP_ENOMEM, "no memory for the report");
    }
    *text = b->data;
    return 0;
}

int kp_doctor(bool json, char **text)
{
    struct report r = {.n = 0};
    kp_buf b = {0};
    if (text == NULL)
        return kp_fail(KP_EINVAL, "kp_doctor without room for the text");
    look_at_system(&r);
    look_at_cpu(&r);
    look_at_memory(&r);
    look_at_gpu(&r);
    look_at_images(&r);
    look_at_libraries(&r);
    look_at_sandbox(&r);
    look_at_limits(&r);
    if (json)
        put_json(&b, &r);
    else
        put_text(&b, &r);
    return hand_over(&b, text);
}

int kp_versions(char **text)
{
    char onednn[40];
    kp_buf b = {0};
    if (text == NULL)
        return kp_fail(KP_EINVAL, "kp_versions without room for the text");
    kp_buf_puts(&b, "backends: cpu ref\n");
    kp_buf_printf(&b, "oneDNN %s\n", onednn_version(onednn, sizeof onednn));
    kp_buf_printf(&b, "libjpeg-turbo API %d\n", JPEG_LIB_VERSION);
    kp_buf_printf(&b, "libpng %s\n", PNG_LIBPNG_VER_STRING);
    kp_buf_printf(&b, "libwebp ABI %d.%d\n", WEBP_DECODER_ABI_VERSION >> 8,
                  WEBP_DECODER_ABI_VERSION & 0xff);
    kp_buf_printf(&b, "giflib %d.%d.%d\n", GIFLIB_MAJOR, GIFLIB_MINOR, GIFLIB_RELEASE);
    kp_buf_printf(&b, "zlib %s\n", zlibVersion());
    kp_buf_printf(&b, "libdeflate %s\n", LIBDEFLATE_VERSION_STRING);
    kp_buf_printf(&b, "jansson %s\n", jansson_version_str());
    return hand_over(&b, text);
}
