/* kpredict VERB ...: finds the verb and hands over. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int unknown_verb(const char *word)
{
    const char *names[32];
    size_t n = 0;
    for (size_t i = 0; i < cli_n_verbs && n < 32; i++)
        names[n++] = cli_verbs[i].name;
    const char *near = cli_nearest(word, names, n);
    if (near != NULL)
        return cli_fail(EXIT_USAGE, "there is no verb \"%s\"; did you mean %s?", word, near);
    return cli_fail(EXIT_USAGE, "there is no verb \"%s\"; see kpredict help", word);
}

/* A standard descriptor that the caller closed would be given to the next file that is opened, and
 * text would go into it. Its place is taken by one on which reading or writing fails. */
static bool keep_standard_places(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

static int help_full(void)
{
    cli_help_full();
    return cli_flush();
}

static int help_verb(const cli_verb *verb)
{
    cli_help_verb(verb);
    return cli_flush();
}

static int help(const cli_args *a)
{
    if (a->n_words == 0)
        return help_full();
    const cli_verb *verb = cli_verb_find(a->words[0]);
    return verb == NULL ? unknown_verb(a->words[0]) : help_verb(verb);
}

/* A verb that later versions have: its help is there, nothing else. */
static int later(const cli_verb *verb, int argc, char **argv)
{
    if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
        return help_verb(verb);
    return cli_fail(EXIT_USAGE, "%s (%s) comes with a later version", verb->name, verb->help);
}

static int call(const cli_args *a)
{
    if (a->verb->bit != V_HELP && cli_has(a, OPT_HELP))
        return help_verb(a->verb);
    switch (a->verb->bit) {
    case V_RUN:
        return cli_run(a);
    case V_SUMMARY:
        return cli_summary(a);
    case V_INSPECT:
        return cli_inspect(a);
    case V_BENCH:
        return cli_bench(a);
    case V_VERIFY:
        return cli_verify(a);
    case V_DOCTOR:
        return cli_doctor(a);
    default:
        return help(a);
    }
}

int main(int argc, char **argv)
{
    if (!keep_standard_places())
        return EXIT_IO;
    if (argc < 2) {
        cli_help_short();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cli_print_version();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_full();
    const cli_verb *verb = cli_verb_find(argv[1]);
    if (verb == NULL)
        return unknown_verb(argv[1]);
    if (verb->bit == 0)
        return later(verb, argc - 2, argv + 2);
    cli_args args;
    cli_signals_start();
    int status = cli_parse(verb, argc - 2, argv + 2, &args);
    if (status == 0) {
        cli_log_start(&args);
        status = call(&args);
    }
    cli_args_free(&args);
    return status;
}
