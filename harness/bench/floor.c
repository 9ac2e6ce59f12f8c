/*
 * The floor of a benchmark: what the servers themselves allow, as a small C program reaches it.
 *
 *   floor write  HOST PORT KEY N   send 1..N by RPUSH, 1,000 values a command, 10 commands a send, 3 sends in flight
 *   floor zadd   HOST PORT KEY N   send 1..N by ZADD in the same way, each number as its own score
 *   floor drain  HOST PORT KEY N   read the list by LRANGE, 50,000 elements each, 3 in flight; compare with 1..N
 *   floor newest HOST PORT KEY N   read it from its end in the same way, and print it, the newest value first
 *
 * A fifth argument FIRST: the values are FIRST..FIRST+N-1 instead.
 * Each prints its seconds, `newest` on standard error. Exit status: 0 done, 1 usage, 2 connection, 3 another reply.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { VALUES_A_COMMAND = 1000, VALUES_A_SEND = 10000, CHUNK = 50000, IN_FLIGHT = 3, LONGEST_BULK = 32 };

static const char *key;
static long before; /* how many numbers are left out before the first one */
static int server;

static void fail(int status, const char *what)
{
    fprintf(stderr, "floor: %s\n", what);
    exit(status);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *room(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        fail(2, "out of memory");
    return memory;
}

static void connect_to(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int on = 1;
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail(1, "HOST is no IPv4 address");
    if (connect(server, (struct sockaddr *)&address, sizeof address))
        fail(2, strerror(errno));
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A decimal number that counts up without a division. */
struct number {
    char digits[24];
    int length;
};

static void number_set(struct number *number, long value)
{
    number->length = sprintf(number->digits, "%ld", value);
}

static void number_next(struct number *number)
{
    int place = number->length - 1;
    while (place >= 0 && number->digits[place] == '9')
        number->digits[place--] = '0';
    if (place >= 0) {
        number->digits[place]++;
        return;
    }
    memmove(number->digits + 1, number->digits, (size_t)number->length++);
    number->digits[0] = '1';
}

static char *put_bulk(char *to, const struct number *number)
{
    *to++ = '$';
    if (number->length >= 10)
        *to++ = '1';
    *to++ = (char)('0' + number->length % 10);
    *to++ = '\r';
    *to++ = '\n';
    memcpy(to, number->digits, sizeof number->digits);
    to += number->length;
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* times: how often each number stands there. */
static char *put_bulks(char *to, long first, long count, int times)
{
    struct number number;
    number_set(&number, before + first);
    for (long done = 0; done < count; done++) {
        for (int time = 0; time < times; time++)
            to = put_bulk(to, &number);
        number_next(&number);
    }
    return to;
}

static long smaller(long one, long other)
{
    return one < other ? one : other;
}

/* name: RPUSH, or ZADD with each number twice. */
static char *put_commands(char *to, const char *name, long first, long count)
{
    int times = strcmp(name, "ZADD") ? 1 : 2;
    for (long done = 0; done < count; done += VALUES_A_COMMAND) {
        long values = smaller(VALUES_A_COMMAND, count - done);
        to += sprintf(to, "*%ld\r\n$%zu\r\n%s\r\n", times * values + 2, strlen(name), name);
        to += sprintf(to, "$%zu\r\n%s\r\n", strlen(key), key);
        to = put_bulks(to, first + done, values, times);
    }
    return to;
}

static long commands_of(long values)
{
    return (values + VALUES_A_COMMAND - 1) / VALUES_A_COMMAND;
}

/* How many integer replies came just now. */
static long take_integers(void)
{
    static char bytes[1 << 16];
    static int at_line_start = 1;
    long replies = 0;
    ssize_t got = read(server, bytes, sizeof bytes);
    if (got <= 0)
        fail(2, "the connection ended");
    for (ssize_t place = 0; place < got; place++) {
        if (at_line_start && bytes[place] != ':')
            fail(3, "a command was not answered with a number");
        at_line_start = bytes[place] == '\n';
        replies += at_line_start;
    }
    return replies;
}

static void write_values(const char *name, long values)
{
    char *buffer = room(2 * VALUES_A_SEND * LONGEST_BULK + (VALUES_A_SEND / VALUES_A_COMMAND) * (64 + strlen(key)));
    char *position = buffer, *end = buffer;
    long next = 1, answered = 0, commands = commands_of(values), sent = 0;
    fcntl(server, F_SETFL, O_NONBLOCK);
    while (answered < commands) {
        long window = IN_FLIGHT * (VALUES_A_SEND / VALUES_A_COMMAND);
        if (position == end && next <= values && sent - answered < window) {
            long count = smaller(VALUES_A_SEND, values - next + 1);
            position = buffer;
            end = put_commands(buffer, name, next, count);
            next += count;
            sent += commands_of(count);
        }
        struct pollfd event = {server, (short)(POLLIN | (position < end ? POLLOUT : 0)), 0};
        poll(&event, 1, -1);
        if (event.revents & (POLLIN | POLLHUP | POLLERR))
            answered += take_integers();
        if (event.revents & POLLOUT) {
            ssize_t taken = write(server, position, (size_t)(end - position));
            if (taken > 0)
                position += taken;
        }
    }
}

static void ask(long first, long count)
{
    char line[512];
    int size = snprintf(line, sizeof line, "*4\r\n$6\r\nLRANGE\r\n$%zu\r\n%s\r\n", strlen(key), key);
    char from[24], to[24];
    int from_size = sprintf(from, "%ld", first), to_size = sprintf(to, "%ld", first + count - 1);
    size += snprintf(line + size, sizeof line - (size_t)size, "$%d\r\n%s\r\n$%d\r\n%s\r\n", from_size, from, to_size, to);
    if (write(server, line, (size_t)size) != size)
        fail(2, "a request was not taken whole");
}

static void take(char *into, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(server, into + done, size - done);
        if (got <= 0)
            fail(2, "the connection ended");
        done += (size_t)got;
    }
}

/* Elements first.. of chunk number `chunk`, counted from the list's beginning or from its end. */
static long chunk_at(long chunk, long values, int from_end, long *first)
{
    long skipped = chunk * CHUNK, count = smaller(CHUNK, values - skipped);
    *first = from_end ? values - skipped - count : skipped;
    return count;
}

/* Takes the chunk's reply, which has to be what was written; the reply's body and its end. */
static char *take_chunk(char *reply, char *expected, long first, long count, char **end)
{
    int header = sprintf(expected, "*%ld\r\n", count);
    size_t size = (size_t)(put_bulks(expected + header, first + 1, count, 1) - expected);
    take(reply, size);
    if (memcmp(reply, expected, size))
        fail(3, "the list holds something else");
    *end = reply + size;
    return reply + header;
}

/* The values of a reply's body, the last one first, one a line. */
static void print_backwards(char *body, char *end, char *lines)
{
    static char *starts[CHUNK];
    static int lengths[CHUNK];
    long count = 0;
    char *to = lines;
    while (body < end) {
        long length = strtol(body + 1, &body, 10);
        starts[count] = body + 2;
        lengths[count++] = (int)length;
        body += 2 + length + 2;
    }
    while (count--) {
        memcpy(to, starts[count], (size_t)lengths[count]);
        to += lengths[count];
        *to++ = '\n';
    }
    for (char *from = lines; from < to;) {
        ssize_t taken = write(1, from, (size_t)(to - from));
        if (taken <= 0)
            fail(2, "nobody reads what is printed");
        from += taken;
    }
}

static void read_values(long values, int newest)
{
    long chunks = (values + CHUNK - 1) / CHUNK, asked = 0, first;
    char *reply = room(CHUNK * LONGEST_BULK + 64), *expected = room(CHUNK * LONGEST_BULK + 64);
    char *lines = room(CHUNK * LONGEST_BULK), *body, *end;
    for (long chunk = 0; chunk < chunks; chunk++) {
        while (asked < chunks && asked < chunk + IN_FLIGHT) {
            long count = chunk_at(asked++, values, newest, &first);
            ask(first, count);
        }
        long count = chunk_at(chunk, values, newest, &first);
        body = take_chunk(reply, expected, first, count, &end);
        if (newest)
            print_backwards(body, end, lines);
    }
}

int main(int arguments, char **argument)
{
    if (arguments < 6 || arguments > 7 || strlen(argument[4]) > 200)
        fail(1, "usage: floor write|zadd|drain|newest HOST PORT KEY N [FIRST]");
    const char *what = argument[1];
    long values = atol(argument[5]);
    key = argument[4];
    before = arguments > 6 ? atol(argument[6]) - 1 : 0;
    connect_to(argument[2], atoi(argument[3]));
    double began = now();
    if (!strcmp(what, "write"))
        write_values("RPUSH", values);
    else if (!strcmp(what, "zadd"))
        write_values("ZADD", values);
    else if (!strcmp(what, "drain") || !strcmp(what, "newest"))
        read_values(values, !strcmp(what, "newest"));
    else
        fail(1, "what is none of write, zadd, drain, newest");
    fprintf(strcmp(what, "newest") ? stdout : stderr, "%.6f\n", now() - began);
    return 0;
}
