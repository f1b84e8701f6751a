/* What a file is that is no whole Keras model, and how its owner gets to one. */
#include "keras/private.h"

#include <sys/stat.h>

#define SAVE_AGAIN "load it where it was made and save it with model.save(\"model.keras\")"
#define CHECKPOINT                                                                                 \
    "a TensorFlow checkpoint: weights without a model; build the model, call load_weights on it "  \
    "and save it with model.save(\"model.keras\")"
#define SAVED_MODEL                                                                                \
    "with the Keras that wrote it: keras.models.load_model(FOLDER).save(\"model.keras\"); what "   \
    "model.export wrote cannot be turned back, save the model itself"

struct magic {
    size_t offset;
    const char *bytes;
    size_t size;
    const char *what;
};

static const struct magic magics[] = {
    {4, "TFL3", 4, "a TensorFlow Lite model; use the Keras model that it was converted from"},
    {0, "version https://git-lfs", 23,
     "a Git LFS pointer, not the file itself; fetch it with \"git lfs pull\""},
    {0, "<!DOCTYPE", 9, "a web page; the download went wrong, get the file itself"},
    {0, "<!doctype", 9, "a web page; the download went wrong, get the file itself"},
    {0, "<html", 5, "a web page; the download went wrong, get the file itself"},
    {0, "\x1f\x8b", 2, "gzip data; unpack it first"},
    {0, "BZh", 3, "bzip2 data; unpack it first"},
    {0,
     "\xfd"
     "7zXZ",
     5, "xz data; unpack it first"},
    {0, "Rar!", 4, "a RAR archive; unpack it first"},
    {0, "model_checkpoint_path:", 22, CHECKPOINT},
    {0, "GGUF", 4, "a GGUF file, not a Keras model"},
    {0, "\x93NUMPY", 6, "a NumPy array, not a model"},
    {0, "\x89PNG", 4, "a PNG image, not a model"},
    {0, "\xff\xd8\xff", 3, "a JPEG image, not a model"},
    {0, "\x80\x02", 2, "a Python pickle, which can run any code; " SAVE_AGAIN},
    {0, "\x80\x03", 2, "a Python pickle, which can run any code; " SAVE_AGAIN},
    {0, "\x80\x04", 2, "a Python pickle, which can run any code; " SAVE_AGAIN},
    {0, "\x80\x05", 2, "a Python pickle, which can run any code; " SAVE_AGAIN},
};

/* The last bytes of a table of TensorFlow's (LevelDB's), which a checkpoint's index is. */
static bool is_checkpoint(const uint8_t *bytes, size_t size)
{
    static const uint8_t end[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    return size > sizeof end && memcmp(bytes + size - sizeof end, end, sizeof end) == 0;
}

static bool holds(const uint8_t *bytes, size_t size, const char *word)
{
    size_t n = size < 65536 ? size : 65536;
    return memmem(bytes, n, word, strlen(word)) != NULL;
}

static int refuse_text(const uint8_t *bytes, size_t size)
{
    if (holds(bytes, size, "\"modelTopology\"") || holds(bytes, size, "\"weightsManifest\""))
        return kp_fail(KP_EMODEL, "this is a TensorFlow.js model; use the Keras model that it was "
                                  "converted from");
    if (holds(bytes, size, "class_name") || holds(bytes, size, "\"layers\""))
        return kp_fail(KP_EMODEL, "this is a model's architecture (JSON) without its weights: give "
                                  "the weights' file as the model and this one with "
                                  "--architecture, or save the whole model with "
                                  "model.save(\"model.keras\")");
    return kp_fail(KP_EMODEL, "this is JSON text, not a model");
}

/* Protocol buffers have no magic: the first fields of the messages that people mistake for a
 * Keras file. */
static const char *protobuf_kind(const uint8_t *b, size_t size)
{
    if (size < 4)
        return NULL;
    if (b[0] == 0x08 && b[1] == 1 && b[2] == 0x12)
        return "the graph of a TensorFlow SavedModel (saved_model.pb); load its "
               "folder " SAVED_MODEL;
    if (b[0] == 0x08 && b[1] >= 2 && b[1] < 32 && (b[2] == 0x12 || b[2] == 0x1a || b[2] == 0x3a))
        return "an ONNX model; use the Keras model that it was exported from";
    if (b[0] == 0x0a && holds(b, size, "_tf_keras_"))
        return "a part of a TensorFlow SavedModel (keras_metadata.pb); load its "
               "folder " SAVED_MODEL;
    if (b[0] == 0x0a && (holds(b, size, "Placeholder") || holds(b, size,
                                                                "\x12\x05"
                                                                "Const")))
        return "a TensorFlow graph (.pb); " SAVE_AGAIN;
    return NULL;
}

int kp_refuse_bytes(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return kp_fail(KP_EMODEL, "the file is empty");
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (size >= m->offset + m->size && memcmp(bytes + m->offset, m->bytes, m->size) == 0)
            return kp_fail(KP_EMODEL, "this is %s", m->what);
    }
    const char *kind = protobuf_kind(bytes, size);
    if (kind != NULL)
        return kp_fail(KP_EMODEL, "this is %s", kind);
    if (is_checkpoint(bytes, size))
        return kp_fail(KP_EMODEL, "this is " CHECKPOINT);
    if (size > 16 && bytes[8] == '{' && memcmp(bytes + 4, "\0\0\0\0", 4) == 0)
        return kp_fail(KP_EMODEL, "this is a safetensors file: weights without a model; save the "
                                  "whole model with model.save(\"model.keras\")");
    size_t i = 0;
    while (i < size && (bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r')))
        i++;
    if (i < size && (bytes[i] == '{' || bytes[i] == '[' || bytes[i] == '"'))
        return refuse_text(bytes, size);
    return kp_fail(KP_EMODEL, "this is neither a .keras archive nor an HDF5 file; models are saved "
                              "with model.save(\"model.keras\")");
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

int kp_refuse_archive(const kp_zip *z)
{
    for (int i = 0; i < kp_zip_count(z); i++) {
        const char *name = kp_zip_name(z, i);
        if (ends_with(name, "data.pkl"))
            return kp_fail(KP_EMODEL, "this is a PyTorch checkpoint, not a Keras model");
        if (ends_with(name, "saved_model.pb"))
            return kp_fail(KP_EMODEL, "this is a zipped TensorFlow SavedModel; " SAVE_AGAIN);
        if (ends_with(name, ".npy"))
            return kp_fail(KP_EMODEL, "this is a NumPy archive (.npz), not a model");
        if (ends_with(name, "/config.json"))
            return kp_fail(KP_EMODEL, "the archive holds a folder with a model; zip the folder's "
                                      "contents without the folder");
        bool weights = strcmp(name, "model.weights.h5") == 0;
        if (!weights && (ends_with(name, ".keras") || ends_with(name, ".h5")))
            return kp_fail(KP_EMODEL, "the archive holds \"%s\"; unpack it first", name);
    }
    return kp_fail(KP_EMODEL, "the archive has no config.json: it is not a Keras model");
}

int kp_refuse_folder(const char *path)
{
    static const struct {
        const char *file, *what;
    } folders[] = {
        {"saved_model.pb", "this is a TensorFlow SavedModel folder; load it " SAVED_MODEL},
        {"keras_metadata.pb", "this is a TensorFlow SavedModel folder; load it " SAVED_MODEL},
        {"config.json", "this folder has a config.json but no model.weights.h5"},
        {"checkpoint", "this folder holds " CHECKPOINT},
        {"model.safetensors", "this folder holds safetensors weights, not a Keras model"},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        kp_buf name = {0};
        kp_buf_printf(&name, "%s/%s", path, folders[i].file);
        struct stat st;
        bool there = !name.failed && stat(name.data, &st) == 0;
        kp_buf_free(&name);
        if (there)
            return kp_fail(KP_EMODEL, "%s", folders[i].what);
    }
    return kp_fail(KP_EMODEL, "this is a folder, not a model file");
}
