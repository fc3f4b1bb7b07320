/* The limit: what four stages in processes cost when nothing is left but copies and wake-ups.
 *
 * Each hop is a ring of slots in shared memory and two pipes of one-byte tokens, forward for a
 * filled slot, back for a freed one; both are read in batches.  A stage copies the tensor in and
 * frees the slot, works (sleeps until a deadline), and copies it out: the same as in Python.
 *
 *     floor OUTPUT SIZE_BYTES SLOTS  { WINDOW MAX_ITEMS MAX_NS WORK_NS } ...
 *
 * Four numbers are one measurement; the 16 words at the start of every item that came back (see
 * item.py) are appended to OUTPUT, each measurement preceded by its number of items.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STAGES = 4, HOPS = STAGES + 1, WORDS = 16, SENT = 2, ARRIVED = 15, TOKENS = 4096, MIN_ITEMS = 20 };

typedef struct {
    char *ring;
    int forward[2], back[2];
    long sent, credits, received, waiting;
} Hop;

static size_t size, stride;
static long slots;
static Hop hops[HOPS];
static char tokens[TOKENS];

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    _exit(1);
}

static void hop_send(Hop *hop, const char *tensor) {
    if (hop->credits == 0) {
        ssize_t n = read(hop->back[0], tokens, TOKENS);
        if (n <= 0) _exit(0);
        hop->credits += n;
    }
    memcpy(hop->ring + hop->sent++ % slots * stride, tensor, size);
    hop->credits--;
    if (write(hop->forward[1], tokens, 1) != 1) _exit(0);
}

static void hop_receive(Hop *hop, char *tensor) {
    if (hop->waiting == 0) {
        ssize_t n = read(hop->forward[0], tokens, TOKENS);
        if (n <= 0) _exit(0); /* the neighbour is gone */
        hop->waiting += n;
    }
    memcpy(tensor, hop->ring + hop->received++ % slots * stride, size);
    hop->waiting--;
    if (write(hop->back[1], tokens, 1) != 1) _exit(0);
}

/* Keep only the ends that the process between hops `in` and `out` uses. */
static void keep_ends(int in, int out) {
    for (int i = 0; i < HOPS; i++) {
        if (i != in) { close(hops[i].forward[0]); close(hops[i].back[1]); }
        if (i != out) { close(hops[i].forward[1]); close(hops[i].back[0]); }
    }
}

static char *new_tensor(void) {
    char *tensor = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!tensor) fail("aligned_alloc");
    for (size_t i = 0; i < size; i++) tensor[i] = (char)(i % 251);
    return tensor;
}

static void run_stage(int stage) {
    char *tensor = new_tensor();
    int64_t *word = (int64_t *)tensor, *stamp = word + 3 + 3 * stage;
    for (;;) {
        hop_receive(&hops[stage], tensor);
        int64_t received = now_ns();
        if (word[1]) {
            int64_t deadline = received + word[1];
            struct timespec t = {deadline / 1000000000, deadline % 1000000000};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        }
        stamp[0] = received;
        stamp[1] = stamp[2] = now_ns();
        hop_send(&hops[stage + 1], tensor);
    }
}

static void measure(FILE *output, char *out, char *in, long window, long max_items,
                    int64_t max_ns, int64_t work_ns) {
    int64_t (*rows)[WORDS] = malloc(sizeof *rows * max_items), *word = (int64_t *)out;
    int64_t end = now_ns() + max_ns, sent = 0, received = 0;
    long wanted = max_items, min_items = 4 * window > MIN_ITEMS ? 4 * window : MIN_ITEMS;
    if (!rows) fail("malloc");
    while (received < wanted) {
        while (sent < wanted && sent - received < window) {
            if (sent >= min_items && now_ns() > end) { wanted = sent; break; }
            word[0] = *(int64_t *)(out + size - 8) = sent++;
            word[1] = work_ns;
            word[SENT] = now_ns();
            hop_send(&hops[0], out);
        }
        if (received == wanted) break;
        hop_receive(&hops[STAGES], in);
        ((int64_t *)in)[ARRIVED] = now_ns();
        if (*(int64_t *)in != received || *(int64_t *)(in + size - 8) != received) {
            fprintf(stderr, "item %ld came back damaged\n", (long)received);
            exit(1);
        }
        memcpy(rows[received++], in, sizeof *rows);
    }
    fwrite(&received, sizeof received, 1, output);
    fwrite(rows, sizeof *rows, received, output);
    free(rows);
}

int main(int argc, char **argv) {
    if (argc < 4 || (argc - 4) % 4) {
        fprintf(stderr, "usage: floor OUTPUT SIZE_BYTES SLOTS {WINDOW MAX_ITEMS MAX_NS WORK_NS}\n");
        return 2;
    }
    size = strtoul(argv[2], NULL, 10);
    slots = atol(argv[3]);
    stride = (size + 4095) / 4096 * 4096;
    for (Hop *hop = hops; hop < hops + HOPS; hop++) {
        hop->ring = mmap(NULL, stride * slots, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (hop->ring == MAP_FAILED) fail("mmap");
        if (pipe(hop->forward) || pipe(hop->back)) fail("pipe");
        hop->credits = slots;
    }
    for (int stage = 0; stage < STAGES; stage++) {
        pid_t pid = fork();
        if (pid < 0) fail("fork");
        if (pid == 0) {
            keep_ends(stage, stage + 1);
            run_stage(stage);
        }
    }
    keep_ends(STAGES, 0);
    FILE *output = fopen(argv[1], "wb");
    if (!output) fail(argv[1]);
    char *out = new_tensor(), *in = new_tensor();
    for (char **a = argv + 4; a < argv + argc; a += 4)
        measure(output, out, in, atol(a[0]), atol(a[1]), atoll(a[2]), atoll(a[3]));
    if (fclose(output)) fail(argv[1]);
    close(hops[0].forward[1]); /* end-of-file runs through the stages */
    close(hops[STAGES].back[1]);
    while (wait(NULL) > 0) {}
    return 0;
}
