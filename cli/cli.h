/*
 * cli: the program kpredict: options, progress, exit statuses. A user of the public header and
 * nothing else.
 *
 * Refuses: to know how anything is computed. One process, one thread of ours; signals only set a
 * flag. stdout carries data, everything for people goes to stderr.
 */
#ifndef KP_CLI_H
#define KP_CLI_H

#include <kpredict/kpredict.h>

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_SOME_FAILED = 3,
    EXIT_MODEL = 4,
    EXIT_DEVICE = 5,
    EXIT_ASSERT = 6,
    EXIT_IO = 74
};

/* ---- verbs and options: one table each (options.c) ---- */

enum cli_verb_bit {
    V_RUN = 1,
    V_SUMMARY = 2,
    V_INSPECT = 4,
    V_BENCH = 8,
    V_DOCTOR = 16,
    V_HELP = 32,
    V_VERIFY = 64
};

typedef enum cli_option {
    OPT_INPUT,
    OPT_LIST,
    OPT_NULL,
    OPT_HEADER,
    OPT_OUTPUT_FILE,
    OPT_FORMAT,
    OPT_TOP,
    OPT_CLASSES,
    OPT_LABELS,
    OPT_OUTPUT,
    OPT_SKIP,
    OPT_LIMIT,
    OPT_WORKERS,
    OPT_BATCH_SIZE,
    OPT_DEVICE,
    OPT_THREADS,
    OPT_PRECISION,
    OPT_BACKEND,
    OPT_PREPROCESS,
    OPT_RESIZE,
    OPT_DECODE,
    OPT_IMAGE_SIZE,
    OPT_COLOR_MODE,
    OPT_CROP,
    OPT_PAD,
    OPT_FOLLOW_LINKS,
    OPT_EXIF_ROTATE,
    OPT_PIXELS,
    OPT_ITEM_TIMEOUT,
    OPT_MAX_FAILURES,
    OPT_FORCE,
    OPT_DRY_RUN,
    OPT_PROGRESS,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_JSON,
    OPT_LINE_LENGTH,
    OPT_EXPAND_NESTED,
    OPT_SHOW_TRAINABLE,
    OPT_COST,
    OPT_WEIGHTS,
    OPT_PLUGIN,
    OPT_LAYER,
    OPT_PYTHON,
    OPT_IMPORT,
    OPT_SECONDS,
    OPT_HELP,
    /* known by name, refused until they exist */
    OPT_RESUME,
    OPT_TRACE,
    OPT_ARCHITECTURE,
    OPT_AGAINST,
    OPT_ASSERT,
    OPT_COUNT
} cli_option;

typedef struct cli_option_spec {
    const char *name;     /* without the dashes */
    char letter;          /* 0: none */
    const char *argument; /* NULL: a flag */
    const char *choices;  /* words with a space between; NULL: any text */
    unsigned verbs;
    const char *help; /* NULL: refused, `refusal` says why */
    const char *refusal;
} cli_option_spec;

extern const cli_option_spec cli_options[OPT_COUNT];

typedef struct cli_verb {
    const char *name;
    const char *usage; /* behind the name */
    const char *help;
    unsigned bit; /* 0: comes later */
} cli_verb;

extern const cli_verb cli_verbs[];
extern const size_t cli_n_verbs;
const cli_verb *cli_verb_find(const char *name);

/* What was typed behind the verb. */
typedef struct cli_args {
    const cli_verb *verb;
    struct cli_given {
        cli_option option;
        const char *value;
        size_t words_before; /* the words that stood before it */
    } * given;
    size_t n_given;
    const char **values; /* room for n_given: cli_values groups them by option */
    const char **words; /* MODEL, INPUT... */
    size_t n_words;
} cli_args;

/* 0 or an exit status, its message printed. */
int cli_parse(const cli_verb *verb, int argc, char **argv, cli_args *out);
void cli_args_free(cli_args *a);
bool cli_has(const cli_args *a, cli_option o);
/* The value given last; NULL if it was not given. */
const char *cli_value(const cli_args *a, cli_option o);
/* All values in the order given; the list lives as long as the arguments. */
const char *const *cli_values(const cli_args *a, cli_option o, size_t *n);
/* Numbers in words that a user types; on failure the exit status, its message printed. */
int cli_integer(const cli_args *a, cli_option o, int64_t least, int64_t most, int64_t *out);
int cli_seconds(const cli_args *a, cli_option o, double *out);
/* The nearest of n words, NULL if none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* ---- help (help.c) ---- */
void cli_help_short(void); /* to stderr */
void cli_help_full(void);  /* to stdout */
void cli_help_verb(const cli_verb *verb);
int cli_print_version(void);

/* ---- messages (message.c) ---- */
/* "kpredict: ..." as one line on stderr. Returns status. */
int cli_fail(int exit_status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The exit status for a library's status, with kp_errmsg() as the message. */
int cli_fail_status(int status);
/* Lines of the library go to stderr, not across a progress bar. */
void cli_log_start(const cli_args *a);

/* Writes to stdout; false (and a message) when it cannot take it. */
bool cli_print(const char *text);
/* What was printed with stdio goes out: EXIT_DONE, or EXIT_IO and a message. */
int cli_flush(void);

/* ---- progress (progress.c) ---- */
typedef enum cli_progress_mode {
    PROGRESS_NONE,
    PROGRESS_BAR,
    PROGRESS_LINE,
    PROGRESS_JSON
} cli_progress_mode;

typedef struct cli_progress {
    cli_progress_mode mode;
    const char *title, *unit;
    double next_line; /* LINE: when the next one is due */
    double rate;      /* smoothed */
    uint64_t last_done;
    double last_seconds;
    bool shown;     /* a bar stands on the line */
    bool data_here; /* the results go to a terminal too */
} cli_progress;

void cli_progress_init(cli_progress *p, const cli_args *a, const char *title, const char *unit);
/* The job's callback; ctx is the cli_progress. */
void cli_progress_update(void *ctx, const kp_job_progress *now);
/* Takes the bar from the line, for a message. */
void cli_progress_clear(void);
void cli_progress_end(cli_progress *p);

/* ---- signals (signals.c) ---- */
void cli_signals_start(void);
/* From now on SIGINT and SIGTERM stop this job; NULL: they end the program. */
void cli_signals_watch(kp_job *job);
/* The last line is said: a signal that comes now changes nothing any more. */
void cli_signals_end(void);
/* SIGINT or SIGTERM if one came, else 0. */
int cli_signal_seen(void);

/* ---- verbs ---- */
int cli_run(const cli_args *a);
int cli_summary(const cli_args *a);
int cli_inspect(const cli_args *a);
int cli_bench(const cli_args *a);
int cli_verify(const cli_args *a);
int cli_doctor(const cli_args *a);

/* run.c uses report.c: what is said at the end. */
void cli_report_facts(const kp_job_report *r, bool rows);
int cli_report_json(const kp_job_report *r);
/* The options that several verbs share, into a model's options. 0 or an exit status. */
int cli_model_options(const cli_args *a, kp_model_options *opt);
/* As cli_fail_status; whatever keeps the file from being a model is EXIT_MODEL. */
int cli_fail_model(int status);
/* "auto", "cpu" and their other names are fine; others are told about and refused. */
int cli_check_device(const char *device);
int cli_check_precision(const char *precision);

/* s as a JSON string, with its quotes. */
void cli_json_string(char *buf, size_t size, const char *s);

#endif
