/* Plays bindings/same/script.jsonl through the C library and prints what comes back, a line for each step. It has no JSON
 * library either: of each line it takes the fields that the script's writer has put there, in texts of JSON.
 *
 *   same script.jsonl >outputs */
#include <nelumbo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };
static struct {
    char name[64];
    struct NelumboMachine *machine;
    struct NelumboSigner *signer;
} known[MOST];

static void stop(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The value of a field of a line, without the quotes of a text, and its escapes undone; null when there is none. */
static char *field(const char *line, const char *name) {
    char sought[32];
    snprintf(sought, sizeof sought, "\"%s\":", name);
    const char *at = strchr(line, '{');
    for (int in_text = 0;; at++) { /* A text may have the same letters. */
        if (!*at) return NULL;
        if (in_text && *at == '\\') at++;
        else if (*at == '"' && !in_text && !strncmp(at, sought, strlen(sought))) break;
        else if (*at == '"') in_text = !in_text;
    }
    at += strlen(sought);
    int is_text = *at == '"';
    at += is_text;
    char *value = malloc(strlen(at) + 1), *to = value;
    for (; is_text ? *at != '"' : *at != ',' && *at != '}'; at++) {
        if (is_text && *at == '\\') {
            at++;
            if (!strchr("\"\\/", *at)) stop("an escape that the script does not have so far");
        }
        *to++ = *at;
    }
    *to = 0;
    return value;
}

static void bytes32(const char *hex, unsigned char bytes[32]) {
    if (!hex || strlen(hex) != 64) stop("not 32 bytes");
    for (int i = 0; i < 32; i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1) stop("not hexadecimal");
        bytes[i] = (unsigned char)value;
    }
}

static void play(const char *line) {
    char *what = field(line, "do"), *name = field(line, "name"), *text = field(line, "text");
    char *mono_text = field(line, "mono_ms"), *wall_text = field(line, "wall_ms");
    double mono = mono_text ? atof(mono_text) : 0, wall = wall_text ? atof(wall_text) : 0;
    size_t len = text ? strlen(text) : 0;
    const uint8_t *data = (const uint8_t *)text;
    struct NelumboBuffer out = {0};
    enum NelumboStatus status = NELUMBO_STATUS_OK;
    unsigned char secret[32], seed[32];
    char number[32] = "null";
    int place = 0, is_new = !strcmp(what, "machine") || !strcmp(what, "signer");
    if (is_new) {
        char *secret_hex = field(line, "secret"), *seed_hex = field(line, "seed");
        bytes32(secret_hex, secret), bytes32(seed_hex, seed);
        free(secret_hex), free(seed_hex);
    }
    if (name) {
        while (place < MOST && *known[place].name && strcmp(known[place].name, name)) place++;
        if (place == MOST || (!is_new && !*known[place].name)) stop("no such name");
        snprintf(known[place].name, sizeof known[place].name, "%s", name);
    }
    struct NelumboMachine *machine = known[place].machine;
    struct NelumboSigner *signer = known[place].signer;
    const char *said = NULL; /* what a success says, where it is not in `out` */
    if (!strcmp(what, "call")) status = nelumbo_call(data, len, &out);
    else if (!strcmp(what, "machine")) {
        nelumbo_machine_free(machine);
        status = nelumbo_machine_new(data, len, secret, seed, mono, wall, &known[place].machine, &out), said = number;
    } else if (!strcmp(what, "signer")) {
        status = nelumbo_signer_new(secret, seed, &known[place].signer, &out);
        if (status == NELUMBO_STATUS_OK) { /* It says its key. */
            char question[128];
            char *hex = field(line, "secret");
            snprintf(question, sizeof question, "{\"type\":\"public-key\",\"secret\":\"%s\"}", hex);
            free(hex);
            nelumbo_buffer_free(&out);
            status = nelumbo_call((uint8_t *)question, strlen(question), &out);
            text = realloc(text, out.len + 1), memcpy(text, out.data, out.len + 1);
            said = field(text, "key");
        }
    } else if (!strcmp(what, "describe")) status = nelumbo_signer_describe(signer, data, len, &out);
    else if (!strcmp(what, "answer")) status = nelumbo_signer_answer(signer, data, len, &out);
    else if (!strcmp(what, "handle")) status = nelumbo_machine_handle(machine, mono, wall, data, len, &out), said = number;
    else if (!strcmp(what, "command")) {
        uint64_t id = 0;
        status = nelumbo_machine_command(machine, mono, wall, data, len, &id, &out), said = number;
        snprintf(number, sizeof number, "%llu", (unsigned long long)id);
    } else if (!strcmp(what, "poll")) status = nelumbo_machine_poll(machine, &out);
    else if (!strcmp(what, "view")) status = nelumbo_machine_view(machine, &out);
    else if (!strcmp(what, "deadline")) {
        double due = nelumbo_machine_deadline(machine);
        if (due >= 0) snprintf(number, sizeof number, "%.0f", due);
        said = number;
    } else stop("no such step");
    if (status == NELUMBO_STATUS_NULL || status == NELUMBO_STATUS_POISONED) stop("the script does nothing of the kind");
    puts(status == NELUMBO_STATUS_OK && said ? said : (const char *)out.data);
    if (!strcmp(what, "signer")) free((char *)said);
    nelumbo_buffer_free(&out);
    free(what), free(name), free(text), free(mono_text), free(wall_text);
}

/* What the border promises about pointers. */
static void check_nulls(void) {
    struct NelumboBuffer out = {0};
    struct NelumboMachine *machine = NULL;
    unsigned char bytes[32] = {1};
    int is_refused = nelumbo_machine_poll(NULL, &out) == NELUMBO_STATUS_NULL &&
                     nelumbo_machine_new(NULL, 0, NULL, bytes, 0, 0, &machine, &out) == NELUMBO_STATUS_NULL &&
                     nelumbo_call(bytes, 1, NULL) == NELUMBO_STATUS_NULL && nelumbo_machine_deadline(NULL) < 0 && !out.data;
    if (!is_refused) stop("null is taken");
    if (nelumbo_machine_new(NULL, 0, bytes, bytes, 0, 0, &machine, &out) != NELUMBO_STATUS_REFUSED || machine)
        stop("no text is a text");
    nelumbo_buffer_free(&out), nelumbo_buffer_free(&out), nelumbo_buffer_free(NULL);
    if (nelumbo_call((const uint8_t *)"\xff", 1, &out) != NELUMBO_STATUS_REFUSED || !strstr((char *)out.data, "bad-argument"))
        stop("what is no UTF-8 is a text");
    nelumbo_buffer_free(&out), nelumbo_machine_free(NULL), nelumbo_signer_free(NULL);
}

int main(int count, char **arguments) {
    FILE *script = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!script) stop("same script.jsonl");
    static char line[1 << 20];
    check_nulls();
    while (fgets(line, sizeof line, script)) play(line);
    for (int i = 0; i < MOST; i++) nelumbo_machine_free(known[i].machine), nelumbo_signer_free(known[i].signer);
    fclose(script);
}
