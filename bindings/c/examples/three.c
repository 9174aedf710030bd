/* Three signers in one process sign a message together, with a loop of this program's own.
 *
 *   cc three.c -I ../include -L ../../../target/release -lnelumbo -o three && ./three
 *
 * A real program has a network, keeps records on a disk before it reports them, has a JSON library, and asks a person
 * before it joins. Here peers are places in an array, and two functions find what they need in the texts. */
#define _POSIX_C_SOURCE 200809L
#include <nelumbo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIGNERS = 3 };
static const char *const peers[SIGNERS] = {"AAAAAAAA", "BBBBBBBB", "CCCCCCCC"};
static const char *const message = "77686174207468726565206f6620757320686176652061677265656420746f2e"; /* 32 bytes */

static struct node {
    struct NelumboMachine *machine;
    char key[67], signature[129];
    int known; /* how many of the others it has found */
} nodes[SIGNERS];

static void stop(const char *what, struct NelumboBuffer said) {
    fprintf(stderr, "%s: %.*s\n", what, (int)said.len, (const char *)said.data);
    exit(1);
}

static double now_ms(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * 1e3 + at.tv_nsec / 1e6;
}

static void fresh(unsigned char bytes[32]) {
    FILE *source = fopen("/dev/urandom", "rb");
    if (!source || fread(bytes, 1, 32, source) != 32) stop("no randomness", (struct NelumboBuffer){0});
    fclose(source);
}

/* The text of the first field of this name from here on; empty when there is none before `end`. */
static void field(const char *from, const char *end, const char *name, char *value, size_t size) {
    char sought[32];
    int length = snprintf(sought, sizeof sought, "\"%s\":\"", name);
    size_t used = 0;
    while (from + length < end && memcmp(from, sought, (size_t)length) != 0) from++;
    for (from += length; from < end && *from != '"' && used + 1 < size; from++) value[used++] = *from;
    value[used] = 0;
}

/* Where the object that begins here ends: texts may have braces too. */
static const char *after(const char *at, const char *end) {
    int depth = 0, in_text = 0;
    for (; at < end; at++) {
        if (in_text && *at == '\\') at++;
        else if (*at == '"') in_text = !in_text;
        else if (in_text) continue;
        else if (*at == '{') depth++;
        else if (*at == '}' && --depth == 0) return at + 1;
    }
    return end;
}

static void give(struct node *node, const char *text, int is_command) {
    struct NelumboBuffer out;
    double mono = now_ms(CLOCK_MONOTONIC), wall = now_ms(CLOCK_REALTIME);
    enum NelumboStatus status =
        is_command ? nelumbo_machine_command(node->machine, mono, wall, (const uint8_t *)text, strlen(text), NULL, &out)
                   : nelumbo_machine_handle(node->machine, mono, wall, (const uint8_t *)text, strlen(text), &out);
    if (status != NELUMBO_STATUS_OK) stop(text, out);
    nelumbo_buffer_free(&out);
}

/* Does one thing that a node wants. */
static void act(struct node *node, const char *from, const char *end) {
    static char bytes[140000], text[141000];
    char type[32], peer[16], session[65], line[250];
    field(from, end, "type", type, sizeof type);
    if (!strcmp(type, "persist")) {
        long number = strtol(strstr(from, "\"sequence\":") + strlen("\"sequence\":"), NULL, 10);
        snprintf(text, sizeof text, "[{\"type\":\"persisted\",\"sequence\":%ld}]", number);
        give(node, text, 0);
    } else if (!strcmp(type, "send")) {
        field(from, end, "peer", peer, sizeof peer);
        field(from, end, "bytes", bytes, sizeof bytes);
        const char *own = peers[node - nodes];
        snprintf(text, sizeof text, "[{\"type\":\"received\",\"peer\":\"%s\",\"bytes\":\"%s\"}]", own, bytes);
        for (int i = 0; i < SIGNERS; i++)
            if (!strcmp(peer, peers[i])) give(&nodes[i], text, 0);
    } else if (!strcmp(type, "event")) {
        from = strstr(from, "\"event\":{");
        field(from, end, "type", type, sizeof type);
        field(from, end, "session", session, sizeof session);
        if (!strcmp(type, "signer-connected") && ++node->known == SIGNERS - 1 && node == nodes) {
            snprintf(text, sizeof text,
                     "{\"type\":\"create\",\"suite\":\"lotus\",\"keys\":[\"%s\",\"%s\",\"%s\"],"
                     "\"items\":[{\"type\":\"message\",\"message\":\"%s\"}],\"allow\":[\"opaque\"]}",
                     nodes[0].key, nodes[1].key, nodes[2].key, message);
            give(node, text, 1);
        } else if (!strcmp(type, "session-announced")) { /* To join is to approve: is it what was agreed? */
            field(from, end, "line", line, sizeof line);
            field(from, end, "hex", bytes, sizeof bytes);
            printf("%s is asked to sign: %s\n", peers[node - nodes], line);
            if (strcmp(bytes, message)) stop("this is something else", (struct NelumboBuffer){0});
            snprintf(text, sizeof text, "{\"type\":\"join\",\"session\":\"%s\",\"allow\":[\"opaque\"]}", session);
            give(node, text, 1);
        } else if (!strcmp(type, "session-completed"))
            snprintf(node->signature, 129, "%s", strstr(from, "\"signatures\":[\"") + strlen("\"signatures\":[\""));
    }
}

int main(void) {
    struct NelumboBuffer out;
    for (int i = 0; i < SIGNERS; i++) {
        unsigned char secret[32], seed[32];
        char params[100];
        fresh(secret), fresh(seed);
        int length = snprintf(params, sizeof params, "{\"network\":\"regtest\",\"peer\":\"%s\"}", peers[i]);
        if (nelumbo_machine_new((uint8_t *)params, (size_t)length, secret, seed, now_ms(CLOCK_MONOTONIC),
                                now_ms(CLOCK_REALTIME), &nodes[i].machine, &out) != NELUMBO_STATUS_OK) stop("new", out);
        nelumbo_buffer_free(&out);
        if (nelumbo_machine_view(nodes[i].machine, &out) != NELUMBO_STATUS_OK) stop("view", out);
        field((char *)out.data, (char *)out.data + out.len, "key", nodes[i].key, sizeof nodes[i].key);
        nelumbo_buffer_free(&out);
    }
    for (int i = 0; i < SIGNERS * SIGNERS; i++) { /* Each is connected to each. */
        char text[64];
        snprintf(text, sizeof text, "[{\"type\":\"connected\",\"peer\":\"%s\"}]", peers[i % SIGNERS]);
        if (i / SIGNERS != i % SIGNERS) give(&nodes[i / SIGNERS], text, 0);
    }
    while (!*nodes[0].signature || !*nodes[1].signature || !*nodes[2].signature) {
        double next = now_ms(CLOCK_MONOTONIC) + 1000;
        int is_idle = 1;
        for (int i = 0; i < SIGNERS; i++) {
            if (nelumbo_machine_poll(nodes[i].machine, &out) != NELUMBO_STATUS_OK) stop("poll", out);
            const char *at = (char *)out.data + 1, *end = (char *)out.data + out.len, *past;
            for (; at < end && *at == '{'; at = past + 1, is_idle = 0) act(&nodes[i], at, past = after(at, end));
            nelumbo_buffer_free(&out);
            double due = nelumbo_machine_deadline(nodes[i].machine);
            if (due >= 0 && due < next) next = due;
        }
        double wait = next - now_ms(CLOCK_MONOTONIC);
        struct timespec pause = {(time_t)(wait / 1e3), (long)wait % 1000 * 1000000};
        if (is_idle && wait > 0) nanosleep(&pause, NULL);
        for (int i = 0; i < SIGNERS && is_idle; i++) give(&nodes[i], "[{\"type\":\"tick\"}]", 0);
    }
    for (int i = 0; i < SIGNERS; i++) nelumbo_machine_free(nodes[i].machine);
    printf("signed by three: %s\n", nodes[0].signature);
    return strcmp(nodes[0].signature, nodes[1].signature) || strcmp(nodes[0].signature, nodes[2].signature);
}
