/* kpredict verify: kp_verify.py, in a Python that has Keras, drives `kpredict run` and compares. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGS_MAX = 1024 };

struct command {
    const char *arg[ARGS_MAX + 1];
    size_t n;
    char script[PATH_MAX], program[PATH_MAX], python[PATH_MAX];
};

static void add(struct command *c, const char *word)
{
    if (c->n < ARGS_MAX)
        c->arg[c->n++] = word;
}

static void add_values(struct command *c, const cli_args *a, cli_option o, const char *dashes)
{
    size_t n;
    const char *const *value = cli_values(a, o, &n);
    for (size_t i = 0; i < n; i++) {
        add(c, dashes);
        add(c, value[i]);
    }
}

/* The script lies beside the program, or in libexec of its prefix. */
static int find_script(struct command *c)
{
    static const char *const places[] = {"", "/../libexec/kpredict"};
    ssize_t n = readlink("/proc/self/exe", c->program, sizeof c->program - 1);
    if (n <= 0)
        return cli_fail(EXIT_FAILED, "the program's own place cannot be read in /proc");
    c->program[n] = '\0';
    int folder = (int)(strrchr(c->program, '/') - c->program);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(c->script, sizeof c->script, "%.*s%s/kp_verify.py", folder,
                              c->program, places[i]);
        if (length < (int)sizeof c->script && access(c->script, R_OK) == 0)
            return 0;
    }
    return cli_fail(EXIT_FAILED, "kp_verify.py was found neither beside the program nor in "
                                 "libexec/kpredict: install kpredict whole");
}

static void find_python(struct command *c, const cli_args *a)
{
    const char *environment = getenv("VIRTUAL_ENV"), *asked = cli_value(a, OPT_PYTHON);
    snprintf(c->python, sizeof c->python, "%s", asked != NULL ? asked : "python3");
    if (asked != NULL || environment == NULL || *environment == '\0')
        return;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/bin/python3", environment);
    if (n < (int)sizeof path && access(path, X_OK) == 0)
        memcpy(c->python, path, (size_t)n + 1);
}

static int fill(struct command *c, const cli_args *a)
{
    static const struct {
        cli_option option;
        const char *dashes;
    } handed[] = {{OPT_INPUT, "--input"},   {OPT_IMPORT, "--import"},
                  {OPT_PLUGIN, "--plugin"}, {OPT_ARCHITECTURE, "--architecture"},
                  {OPT_DEVICE, "--device"}, {OPT_THREADS, "--threads"}};
    int status = find_script(c);
    if (status != 0)
        return status;
    find_python(c, a);
    add(c, c->python);
    add(c, c->script);
    add(c, "--program");
    add(c, c->program);
    if (cli_has(a, OPT_JSON))
        add(c, "--json");
    if (cli_has(a, OPT_VERBOSE))
        add(c, "--verbose");
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++)
        add_values(c, a, handed[i].option, handed[i].dashes);
    add(c, "--");
    for (size_t i = 0; i < a->n_words; i++)
        add(c, a->words[i]);
    return c->n < ARGS_MAX ? 0 : cli_fail(EXIT_USAGE, "too many inputs");
}

/* What keeps the model from being loaded here is said at once, without waiting for Python. */
static int try_model(const cli_args *a)
{
    kp_model_options opt;
    kp_model *m;
    int status = cli_model_options(a, &opt);
    if (status != 0)
        return status;
    status = kp_model_open(&m, a->words[0], &opt);
    kp_model_close(&m);
    return status != 0 ? cli_fail_model(status) : 0;
}

static int wait_for(pid_t child, const char *python)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return cli_fail(EXIT_FAILED, "%s was lost: %s", python, strerror(errno));
    if (cli_signal_seen() != 0)
        return 128 + cli_signal_seen();
    if (WIFSIGNALED(status))
        return cli_fail(EXIT_FAILED, "%s was ended by signal %d (%s)", python, WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status);
}

int cli_verify(const cli_args *a)
{
    struct command *c = calloc(1, sizeof *c);
    pid_t child;
    int status;
    if (c == NULL)
        return cli_fail(EXIT_FAILED, "out of memory");
    if (a->n_words < 1)
        status = cli_fail(EXIT_USAGE, "verify needs a model: kpredict verify MODEL [INPUT]");
    else if ((status = try_model(a)) == 0 && (status = fill(c, a)) == 0) {
        int error =
            posix_spawnp(&child, c->python, NULL, NULL, (char *const *)(uintptr_t)c->arg, environ);
        status = error != 0 ? cli_fail(EXIT_FAILED,
                                       "\"%s\" cannot be started (%s): name a Python that has "
                                       "Keras with --python PATH",
                                       c->python, strerror(error))
                            : wait_for(child, c->python);
    }
    free(c);
    return status;
}
