/* bench_loading MODEL: milliseconds until the model is ready to predict, and the most memory that
 * the process has had by then: "ms=181.2 peak_kb=119124". */
#include <kpredict/kpredict.h>

#include <stdio.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return 1e3 * (double)ts.tv_sec + 1e-6 * (double)ts.tv_nsec;
}

static long peak_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        sscanf(line, "VmHWM: %ld", &kb);
    if (f != NULL)
        fclose(f);
    return kb;
}

int main(int argc, char **argv)
{
    kp_model *m;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_loading MODEL\n");
        return 2;
    }
    double begin = now_ms();
    if (kp_model_open(&m, argv[1], NULL) != 0) {
        fprintf(stderr, "bench_loading: %s\n", kp_errmsg());
        return 1;
    }
    printf("ms=%.1f peak_kb=%ld\n", now_ms() - begin, peak_kb());
    kp_model_close(&m);
    return 0;
}
