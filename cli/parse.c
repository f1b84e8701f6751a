/* Words of the command line to options, by the table. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int option_by_letter(char letter)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        if (cli_options[i].letter == letter)
            return i;
    }
    return -1;
}

static int option_by_name(const char *name, size_t n)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        if (strlen(cli_options[i].name) == n && memcmp(cli_options[i].name, name, n) == 0)
            return i;
    }
    return -1;
}

static int unknown_option(const cli_verb *verb, const char *word)
{
    const char *names[OPT_COUNT];
    size_t n = 0;
    for (int i = 0; i < OPT_COUNT; i++) {
        if (cli_options[i].help != NULL && (cli_options[i].verbs & verb->bit) != 0)
            names[n++] = cli_options[i].name;
    }
    char name[64];
    const char *bare = word + strspn(word, "-");
    size_t len = strcspn(bare, "=");
    if (len >= sizeof name)
        len = sizeof name - 1;
    memcpy(name, bare, len);
    name[len] = '\0';
    const char *near = cli_nearest(name, names, n);
    if (near != NULL)
        return cli_fail(EXIT_USAGE, "%s has no option \"%s\"; did you mean --%s?", verb->name, word,
                        near);
    return cli_fail(EXIT_USAGE, "%s has no option \"%s\"; see kpredict help %s", verb->name, word,
                    verb->name);
}

static int check_choice(cli_option o, const char *value)
{
    const char *words[32];
    size_t n = 0;
    char copy[400];
    if (cli_options[o].choices == NULL)
        return 0;
    strncpy(copy, cli_options[o].choices, sizeof copy - 1);
    copy[sizeof copy - 1] = '\0';
    char *save;
    for (char *w = strtok_r(copy, " ", &save); w != NULL && n < 32;
         w = strtok_r(NULL, " ", &save)) {
        if (strcmp(w, value) == 0)
            return 0;
        words[n++] = w;
    }
    const char *near = cli_nearest(value, words, n);
    if (near != NULL)
        return cli_fail(EXIT_USAGE, "--%s does not know \"%s\"; did you mean %s?",
                        cli_options[o].name, value, near);
    return cli_fail(EXIT_USAGE, "--%s does not know \"%s\"; it knows: %s", cli_options[o].name,
                    value, cli_options[o].choices);
}

static int add_option(cli_args *a, cli_option o, const char *value)
{
    const cli_option_spec *s = &cli_options[o];
    if (s->help == NULL)
        return cli_fail(EXIT_USAGE, "--%s: %s", s->name, s->refusal);
    if (value != NULL) {
        int status = check_choice(o, value);
        if (status != 0)
            return status;
    }
    a->given[a->n_given++] = (struct cli_given){o, value, a->n_words};
    return 0;
}

/* --name, --name=value, --name value. *at moves over a value that is a word of its own. */
static int long_option(cli_args *a, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t n = strcspn(name, "=");
    int o = option_by_name(name, n);
    if (o < 0 || (cli_options[o].verbs & a->verb->bit) == 0)
        return unknown_option(a->verb, argv[*at]);
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    if (cli_options[o].argument == NULL && value != NULL)
        return cli_fail(EXIT_USAGE, "--%s takes no value", cli_options[o].name);
    if (cli_options[o].help != NULL && cli_options[o].argument != NULL && value == NULL) {
        if (*at + 1 >= argc)
            return cli_fail(EXIT_USAGE, "--%s needs a value: %s", cli_options[o].name,
                            cli_options[o].argument);
        value = argv[++*at];
    }
    return add_option(a, (cli_option)o, value);
}

/* -qv, -o OUT, -oOUT. */
static int short_options(cli_args *a, int argc, char **argv, int *at)
{
    for (const char *p = argv[*at] + 1; *p != '\0'; p++) {
        int o = option_by_letter(*p);
        if (o < 0 || (cli_options[o].verbs & a->verb->bit) == 0) {
            char word[3] = {'-', *p, '\0'};
            return unknown_option(a->verb, word);
        }
        if (cli_options[o].argument == NULL) {
            int status = add_option(a, (cli_option)o, NULL);
            if (status != 0)
                return status;
            continue;
        }
        const char *value = p[1] != '\0' ? p + 1 : *at + 1 < argc ? argv[++*at] : NULL;
        if (value == NULL)
            return cli_fail(EXIT_USAGE, "-%c needs a value: %s", *p, cli_options[o].argument);
        return add_option(a, (cli_option)o, value);
    }
    return 0;
}

int cli_parse(const cli_verb *verb, int argc, char **argv, cli_args *a)
{
    *a = (cli_args){.verb = verb};
    /* Every letter of a word may be an option. */
    size_t most = 1;
    for (int i = 0; i < argc; i++)
        most += strlen(argv[i]) + 1;
    a->given = calloc(most, sizeof *a->given);
    a->values = calloc(most, sizeof *a->values);
    a->words = calloc((size_t)argc + 1, sizeof *a->words);
    if (a->given == NULL || a->values == NULL || a->words == NULL)
        return cli_fail(EXIT_FAILED, "no memory for the command line");
    bool options = true;
    for (int i = 0; i < argc; i++) {
        int status = 0;
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && strncmp(argv[i], "--", 2) == 0)
            status = long_option(a, argc, argv, &i);
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            status = short_options(a, argc, argv, &i);
        else
            a->words[a->n_words++] = argv[i];
        if (status != 0)
            return status;
    }
    return 0;
}

void cli_args_free(cli_args *a)
{
    free(a->given);
    free(a->values);
    free(a->words);
    *a = (cli_args){0};
}

enum { LONGEST = 40 };

/* Edit distance; long words count as far away. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[LONGEST + 1];
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            int other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    int limit = (int)strlen(word) / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        /* Who mistypes a word mostly begins it well. */
        int d = distance(word, words[i]) + (word[0] != words[i][0]);
        if (d <= limit) {
            limit = d - 1;
            best = words[i];
        }
    }
    return best;
}
