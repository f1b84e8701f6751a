/* The table of verbs and the table of options; parsing, help and "did you mean" come from them. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESIZE_WORDS                                                                               \
    "tf-nearest tf-bilinear tf-bicubic tf-lanczos3 tf-lanczos5 tf-area tf-gaussian "               \
    "tf-mitchellcubic pil-nearest pil-bilinear pil-bicubic pil-lanczos pil-box pil-hamming"
#define MODEL_VERBS (V_RUN | V_SUMMARY | V_INSPECT | V_BENCH | V_VERIFY)

const cli_option_spec cli_options[OPT_COUNT] = {
    [OPT_INPUT] = {"input", 0, "NAME=PATH", NULL, V_RUN | V_VERIFY,
                   "input NAME of the model (repeatable)", NULL},
    [OPT_LIST] = {"list", 0, "FILE", NULL, V_RUN, "paths of images, one a line; - is stdin", NULL},
    [OPT_NULL] = {"null", 0, NULL, NULL, V_RUN, "the list is separated by NUL", NULL},
    [OPT_HEADER] = {"header", 0, NULL, NULL, V_RUN, "the first line of a CSV input is a header",
                    NULL},
    [OPT_OUTPUT_FILE] = {"out", 'o', "OUT", NULL, V_RUN,
                         "result file: .csv .jsonl .npy .npz; - is stdout", NULL},
    [OPT_FORMAT] = {"format", 0, "F", "csv jsonl npy npz table", V_RUN,
                    "csv, jsonl, npy, npz or table instead of by OUT's ending", NULL},
    [OPT_TOP] = {"top", 0, "K", NULL, V_RUN,
                 "the K best classes (default 5 for a softmax of 3 or more); 0: all values", NULL},
    [OPT_CLASSES] = {"classes", 0, "FILE", NULL, V_RUN,
                     "labels, one a line, or imagenet_class_index.json", NULL},
    [OPT_LABELS] = {"labels", 0, "inferred", "inferred", V_RUN,
                    "sub-folder = true class: adds truth, prints accuracy", NULL},
    [OPT_OUTPUT] = {"output", 0, "NAME", NULL, V_RUN, "which output of the model (repeatable)",
                    NULL},
    [OPT_SKIP] = {"skip", 0, "N", NULL, V_RUN, "pass over the first N items", NULL},
    [OPT_LIMIT] = {"limit", 0, "N", NULL, V_RUN, "take at most N items", NULL},
    [OPT_WORKERS] = {"workers", 'j', "N", NULL, V_RUN,
                     "preprocessing processes (default: usable cores)", NULL},
    [OPT_BATCH_SIZE] = {"batch-size", 'b', "N", NULL, V_RUN | V_BENCH,
                        "largest batch (default: by the model)", NULL},
    [OPT_DEVICE] = {"device", 'd', "D", NULL, MODEL_VERBS, "auto or cpu", NULL},
    [OPT_THREADS] = {"threads", 0, "N", NULL, MODEL_VERBS, "threads of the CPU engine", NULL},
    [OPT_PRECISION] = {"precision", 0, "P", "float32 tf32 bfloat16 float16 int8", V_RUN | V_BENCH,
                       "float32", NULL},
    [OPT_BACKEND] = {"backend", 0, "B", "cpu ref", V_INSPECT | V_BENCH,
                     "cpu, or ref: the plain reference", NULL},
    [OPT_PREPROCESS] =
        {"preprocess", 0, "P", NULL, V_RUN,
         "none, tf, torch, caffe, scale=S,mean=A:B:C,std=A:B:C or plugin:FILE.so[,ARG]", NULL},
    [OPT_RESIZE] = {"resize", 0, "M", RESIZE_WORDS, V_RUN,
                    "tf-bilinear (default), tf-nearest, pil-bilinear, ...", NULL},
    [OPT_DECODE] = {"decode", 0, "F", "tf pil", V_RUN, "tf or pil (default: as --resize)", NULL},
    [OPT_IMAGE_SIZE] = {"image-size", 0, "HxW", NULL, V_RUN,
                        "size of the images (default: the model's)", NULL},
    [OPT_COLOR_MODE] = {"color-mode", 0, "C", "rgb grayscale rgba", V_RUN,
                        "rgb, grayscale or rgba (default: by the model)", NULL},
    [OPT_CROP] = {"crop-to-aspect-ratio", 0, NULL, NULL, V_RUN, "crop instead of distorting", NULL},
    [OPT_PAD] = {"pad-to-aspect-ratio", 0, NULL, NULL, V_RUN, "pad instead of distorting", NULL},
    [OPT_FOLLOW_LINKS] = {"follow-links", 0, NULL, NULL, V_RUN, "go into linked folders", NULL},
    [OPT_EXIF_ROTATE] = {"exif-rotate", 0, NULL, NULL, V_RUN, "turn photos as their EXIF says",
                         NULL},
    [OPT_PIXELS] = {"pixels", 0, "T", "float32 uint8", V_RUN,
                    "uint8: round after resizing, a quarter of the traffic", NULL},
    [OPT_ITEM_TIMEOUT] = {"item-timeout", 0, "S", NULL, V_RUN,
                          "seconds that a worker may take for an item (default 30)", NULL},
    [OPT_MAX_FAILURES] = {"max-failures", 0, "N|P%", NULL, V_RUN, "stop when more items fail",
                          NULL},
    [OPT_FORCE] = {"force", 0, NULL, NULL, V_RUN, "replace OUT if it exists", NULL},
    [OPT_DRY_RUN] = {"dry-run", 0, NULL, NULL, V_RUN, "show what would run, and the first item",
                     NULL},
    [OPT_PROGRESS] = {"progress", 0, "P", "bar line json none", V_RUN, "bar, line, json or none",
                      NULL},
    [OPT_QUIET] = {"quiet", 'q', NULL, NULL, V_RUN, "only the last line", NULL},
    [OPT_VERBOSE] = {"verbose", 'v', NULL, NULL, MODEL_VERBS, "say more", NULL},
    [OPT_JSON] = {"json", 0, NULL, NULL, MODEL_VERBS | V_DOCTOR, "one JSON object on stdout", NULL},
    [OPT_LINE_LENGTH] = {"line-length", 0, "N", NULL, V_SUMMARY, "width of the table", NULL},
    [OPT_EXPAND_NESTED] = {"expand-nested", 0, NULL, NULL, V_SUMMARY,
                           "show the layers of nested models", NULL},
    [OPT_SHOW_TRAINABLE] = {"show-trainable", 0, NULL, NULL, V_SUMMARY,
                            "a column for trainable layers", NULL},
    [OPT_COST] = {"cost", 0, NULL, NULL, V_SUMMARY, "add FLOPs and bytes", NULL},
    [OPT_WEIGHTS] = {"weights", 0, NULL, NULL, V_INSPECT, "list the variables", NULL},
    [OPT_PLUGIN] = {"plugin", 0, "FILE.so", NULL, MODEL_VERBS,
                    "layers of your own (kpredict/layer.h; repeatable)", NULL},
    [OPT_LAYER] = {"layer", 0, "NAME", NULL, V_RUN,
                   "the outputs of this layer instead of the model's (repeatable)", NULL},
    [OPT_PYTHON] = {"python", 0, "PATH", NULL, V_VERIFY,
                    "the Python that has Keras (default: python3 of $VIRTUAL_ENV or PATH)", NULL},
    [OPT_IMPORT] = {"import", 0, "MODULE", NULL, V_VERIFY,
                    "Python module that registers the model's own classes (repeatable)", NULL},
    [OPT_SECONDS] = {"seconds", 0, "S", NULL, V_BENCH, "time for each batch size (default 2)",
                     NULL},
    [OPT_HELP] = {"help", 'h', NULL, NULL, MODEL_VERBS | V_DOCTOR | V_HELP, "this text", NULL},
    [OPT_RESUME] = {"resume", 0, NULL, NULL, V_RUN, NULL,
                    "a stopped run cannot be resumed yet: run it again with --force"},
    [OPT_TRACE] = {"trace", 0, "FILE", NULL, V_RUN, NULL, "a trace cannot be written yet"},
    [OPT_ARCHITECTURE] = {"architecture", 0, "FILE", NULL, MODEL_VERBS,
                          "model.to_json()'s output, for a MODEL that holds only weights", NULL},
    [OPT_AGAINST] = {"against", 0, "PEERS", NULL, V_BENCH, NULL,
                     "other engines cannot be compared yet"},
    [OPT_ASSERT] = {"assert", 0, "LIMIT", NULL, V_BENCH, NULL, "limits cannot be checked yet"},
};

const cli_verb cli_verbs[] = {
    {"run", "MODEL INPUT... [-o OUT]", "predict over files, arrays or tables", V_RUN},
    {"summary", "MODEL", "the layers, as Keras' model.summary()", V_SUMMARY},
    {"inspect", "MODEL", "the graph, what runs it, its memory", V_INSPECT},
    {"verify", "MODEL [INPUT]", "compare the numbers with real Keras", V_VERIFY},
    {"bench", "MODEL", "throughput and latency by batch", V_BENCH},
    {"doctor", "", "what this machine offers, and what is missing", V_DOCTOR},
    {"help", "[VERB]", "this text, or a verb's options", V_HELP},
    {"plot", "MODEL -o m.svg", "a picture of the model", 0},
    {"report", "PREDS -o r.html", "a page of predictions", 0},
    {"top", "", "what runs now", 0},
    {"serve", "MODEL", "answer over HTTP and gRPC", 0},
    {"tune", "MODEL", "measure and remember the best settings", 0},
    {"trace", "", "where the time goes", 0},
};
const size_t cli_n_verbs = sizeof cli_verbs / sizeof *cli_verbs;

const cli_verb *cli_verb_find(const char *name)
{
    for (size_t i = 0; i < cli_n_verbs; i++) {
        if (strcmp(cli_verbs[i].name, name) == 0)
            return &cli_verbs[i];
    }
    return NULL;
}

bool cli_has(const cli_args *a, cli_option o)
{
    for (size_t i = 0; i < a->n_given; i++) {
        if (a->given[i].option == o)
            return true;
    }
    return false;
}

const char *cli_value(const cli_args *a, cli_option o)
{
    for (size_t i = a->n_given; i-- > 0;) {
        if (a->given[i].option == o)
            return a->given[i].value;
    }
    return NULL;
}

const char *const *cli_values(const cli_args *a, cli_option o, size_t *n)
{
    size_t before = 0;
    *n = 0;
    for (size_t i = 0; i < a->n_given; i++)
        before += a->given[i].option < o;
    for (size_t i = 0; i < a->n_given; i++) {
        if (a->given[i].option == o)
            a->values[before + (*n)++] = a->given[i].value;
    }
    return a->values + before;
}

int cli_integer(const cli_args *a, cli_option o, int64_t least, int64_t most, int64_t *out)
{
    const char *text = cli_value(a, o);
    if (text == NULL || ((o == OPT_WORKERS || o == OPT_BATCH_SIZE || o == OPT_THREADS) &&
                         strcmp(text, "auto") == 0))
        return 0;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < least || v > most)
        return cli_fail(EXIT_USAGE, "--%s takes a whole number from %lld to %lld, not \"%s\"",
                        cli_options[o].name, (long long)least, (long long)most, text);
    *out = v;
    return 0;
}

int cli_seconds(const cli_args *a, cli_option o, double *out)
{
    const char *text = cli_value(a, o);
    if (text == NULL)
        return 0;
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v) || v <= 0 || v > 1e6)
        return cli_fail(EXIT_USAGE,
                        "--%s takes a number of seconds above 0, at most 1000000, not \"%s\"",
                        cli_options[o].name, text);
    *out = v;
    return 0;
}
