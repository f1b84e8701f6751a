/* The cpu backend's table of functions. */
#include "backend/cpu/cpu.h"

size_t kp_cpu_arena_bytes(const kp_exec *e)
{
    size_t sum = (e->arena_bytes + e->scratch_bytes) * (size_t)e->threads;
    for (int s = 0; s < e->n_steps; s++)
        sum += e->steps[s].body_bytes;
    return sum;
}

size_t kp_cpu_packed_bytes(const kp_exec *e)
{
    size_t sum = 0;
    for (int s = 0; s < e->n_steps; s++)
        sum += e->steps[s].packed_bytes;
    return sum;
}

static int info(const kp_exec *e, kp_exec_info *out)
{
    memset(out, 0, sizeof *out);
    out->arena_bytes = kp_cpu_arena_bytes(e);
    out->packed_bytes = kp_cpu_packed_bytes(e);
    return 0;
}

static int probe(char *why, size_t why_size)
{
    if (kp_kernels_get() != NULL)
        return 0;
    snprintf(why, why_size, "the processor lacks SSE4.1");
    return KP_EDEVICE;
}

static const char *supports(const struct kp_node *n)
{
    kp_step s;
    return kp_step_choose(&s, n) ? s.by : NULL;
}

const kp_backend kp_backend_cpu = {
    .abi_version = KP_BACKEND_ABI,
    .name = "cpu",
    .probe = probe,
    .supports = supports,
    .compile = kp_cpu_compile,
    .run = kp_cpu_run,
    .info = info,
    .close = kp_cpu_close,
};
