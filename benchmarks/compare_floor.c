/* The floor for `harness compare`: the same read commands, pipelined to both servers, the replies compared as bytes.

   cc -O2 -o compare_floor compare_floor.c && ./compare_floor PORT_A PORT_B

   Pages of SCAN on A; of each key TYPE and PTTL, LLEN (on A MEMORY USAGE too), LRANGE on both; then pages of SCAN on B and EXISTS on A. A list
   longer than 128 is read in pieces of 20,000, eight commands in flight, its length and
   beginning before and after. It knows lists only, and says how many windows differed. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char *data; size_t used, room; } Text;
typedef struct { int socket; Text in; } Side;

static const char MARK[] = "$4\r\nmark\r\n";
static const char PING[] = "*2\r\n$4\r\nPING\r\n$4\r\nmark\r\n";

static void add(Text *text, const void *data, size_t size) {
    while (text->used + size > text->room) text->data = realloc(text->data, text->room = text->room * 2 + size + 65536);
    memcpy(text->data + text->used, data, size);
    text->used += size;
}

static Side reach(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    Side side = {.socket = socket(AF_INET, SOCK_STREAM, 0)};
    int on = 1;
    if (connect(side.socket, (struct sockaddr *)&address, sizeof address)) { perror("connect"); exit(1); }
    setsockopt(side.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return side;
}

static void put(Side *side, const Text *text) {
    for (size_t sent = 0; sent < text->used;) {
        ssize_t count = write(side->socket, text->data + sent, text->used - sent);
        if (count <= 0) { perror("write"); exit(1); }
        sent += count;
    }
}

static int complete(const Text *in) {
    size_t size = sizeof MARK - 1;
    return in->used >= size && !memcmp(in->data + in->used - size, MARK, size);
}

static void receive(Side *side) {
    char block[1 << 16];
    ssize_t count = read(side->socket, block, sizeof block);
    if (count <= 0) { perror("read"); exit(1); }
    add(&side->in, block, count);
}

/* Send to each its commands (b may be NULL), and wait until both have answered everything. */
static void ask_each(Side *a, Side *b, Text *of_a, Text *of_b) {
    add(of_a, PING, sizeof PING - 1);
    if (b && of_b != of_a) add(of_b, PING, sizeof PING - 1);
    a->in.used = 0;
    if (b) b->in.used = 0;
    put(a, of_a);
    if (b) put(b, of_b);
    while (!complete(&a->in) || (b && !complete(&b->in))) {
        struct pollfd waiting[2] = {{a->socket, POLLIN, 0}, {b ? b->socket : -1, POLLIN, 0}};
        poll(waiting, b ? 2 : 1, -1);
        if (waiting[0].revents) receive(a);
        if (b && waiting[1].revents) receive(b);
    }
}

static void ask(Side *a, Side *b, Text *commands) { ask_each(a, b, commands, commands); }

static void for_each(Text *commands, const Text *keys, const size_t *ends, int count, const char *const *words) {
    for (int key = 0; key < count; key++)
        for (int word = 0; words[word]; word += 2) {
            size_t start = key ? ends[key - 1] : 0;
            add(commands, words[word], strlen(words[word]));
            add(commands, keys->data + start, ends[key] - start);
            add(commands, words[word + 1], strlen(words[word + 1]));
        }
}

static long differing = 0;

static void compare(Side *a, Side *b) {
    if (a->in.used != b->in.used || memcmp(a->in.data, b->in.data, a->in.used)) differing++;
}

static void word(Text *commands, const char *text) {
    char buffer[64];
    int size = snprintf(buffer, sizeof buffer, "$%zu\r\n%s\r\n", strlen(text), text);
    add(commands, buffer, size);
}

static void piece(Text *commands, const char *key, size_t size, long first, long last) {
    char number[32];
    add(commands, "*4\r\n$6\r\nLRANGE\r\n", 16);
    add(commands, key, size);
    snprintf(number, sizeof number, "%ld", first);
    word(commands, number);
    snprintf(number, sizeof number, "%ld", last);
    word(commands, number);
}

/* How long the list is, and how it begins. */
static void frame(Side *a, Side *b, Text *commands, const char *key, size_t size) {
    commands->used = 0;
    add(commands, "*2\r\n$4\r\nLLEN\r\n", 14);
    add(commands, key, size);
    piece(commands, key, size, 0, 15);
    ask(a, b, commands);
    compare(a, b);
}

static void large(Side *a, Side *b, Text *commands, const char *key, size_t size, long length) {
    frame(a, b, commands, key, size);
    for (long first = 0; first < length;) {
        commands->used = 0;
        for (int count = 0; count < 8 && first < length; count++, first += 20000)
            piece(commands, key, size, first ? first - 1 : 0, first + 19999);
        ask(a, b, commands);
        compare(a, b);
    }
    frame(a, b, commands, key, size);
}

/* One page: the cursor that follows; the keys' bulk strings in `keys`, where each ends in `ends`. */
static int scan(Side *side, Text *commands, char *cursor, Text *keys, size_t *ends) {
    char text[128];
    commands->used = 0;
    int size = snprintf(text, sizeof text, "*4\r\n$4\r\nSCAN\r\n$%zu\r\n%s\r\n$5\r\nCOUNT\r\n$4\r\n1000\r\n", strlen(cursor), cursor);
    add(commands, text, size);
    ask(side, NULL, commands);
    char *at = strchr(side->in.data + 4, '\n') + 1, *end = strchr(at, '\r');
    snprintf(cursor, 32, "%.*s", (int)(end - at), at);
    at = end + 3;
    int count = atoi(at);
    at = strchr(at, '\n') + 1;
    keys->used = 0;
    for (int key = 0; key < count; key++) {
        int length = atoi(at + 1);
        char *after = strchr(at, '\n') + 1 + length + 2;
        add(keys, at, after - at);
        ends[key] = keys->used;
        at = after;
    }
    return count;
}

int main(int count, char **words) {
    if (count != 3) { fprintf(stderr, "compare_floor PORT_A PORT_B\n"); return 4; }
    Side a = reach(atoi(words[1])), b = reach(atoi(words[2]));
    Text commands = {0}, keys = {0}, small = {0}, weighing = {0};
    long *lengths_seen = NULL;
    static size_t ends[1 << 16], small_ends[1 << 16];
    static const char *const states[] = {"*2\r\n$4\r\nTYPE\r\n", "", "*2\r\n$4\r\nPTTL\r\n", "", NULL};
    static const char *const lengths[] = {"*2\r\n$4\r\nLLEN\r\n", "", NULL};
    static const char *const weights[] = {"*5\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n", "$7\r\nSAMPLES\r\n$1\r\n5\r\n", NULL};
    static const char *const values[] = {"*4\r\n$6\r\nLRANGE\r\n", "$1\r\n0\r\n$3\r\n255\r\n", NULL};
    static const char *const exist[] = {"*2\r\n$6\r\nEXISTS\r\n", "", NULL};
    long total = 0;
    char cursor[32] = "0";
    do {
        int found = scan(&a, &commands, cursor, &keys, ends);
        total += found;
        commands.used = weighing.used = 0;
        for_each(&commands, &keys, ends, found, states);
        ask(&a, &b, &commands);
        compare(&a, &b);
        commands.used = 0;
        for_each(&commands, &keys, ends, found, lengths);
        add(&weighing, commands.data, commands.used);
        for_each(&weighing, &keys, ends, found, weights);
        ask_each(&a, &b, &weighing, &commands);
        const char *line = a.in.data;
        size_t start = 0;
        int many = 0;
        small.used = 0;
        lengths_seen = realloc(lengths_seen, (found + 1) * sizeof *lengths_seen);
        for (int key = 0; key < found; key++, line = strchr(line, '\n') + 1) lengths_seen[key] = atol(line + 1);
        for (int key = 0; key < found; start = ends[key++]) {
            if (lengths_seen[key] > 128) {
                large(&a, &b, &commands, keys.data + start, ends[key] - start, lengths_seen[key]);
            } else {
                add(&small, keys.data + start, ends[key] - start);
                small_ends[many++] = small.used;
            }
        }
        commands.used = 0;
        for_each(&commands, &small, small_ends, many, values);
        ask(&a, &b, &commands);
        compare(&a, &b);
    } while (strcmp(cursor, "0"));
    do {
        int found = scan(&b, &commands, cursor, &keys, ends);
        commands.used = 0;
        for_each(&commands, &keys, ends, found, exist);
        ask(&a, NULL, &commands);
    } while (strcmp(cursor, "0"));
    printf("%ld keys, %ld windows differ\n", total, differing);
    return differing != 0;
}
