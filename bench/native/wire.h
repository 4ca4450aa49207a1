// What the server, the floor relay and the load generator share: byte buffers, HTTP/1.1, event streams, JSON-RPC envelopes.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Buffers keep so much while they are empty: what measures must not be slowed down by asking for memory.
#ifndef KEEP_BYTES
#define KEEP_BYTES (4 * 1024 * 1024)
#endif

static inline void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

// ---- Buffers: the bytes between at and len are waiting.

struct buf {
    char *p;
    size_t at, len, cap;
};

static inline void buf_room(struct buf *b, size_t n)
{
    if (b->at == b->len) {
        b->at = b->len = 0;
        if (b->cap > KEEP_BYTES && n <= KEEP_BYTES) {
            // A large message has passed: its memory goes back.
            free(b->p);
            b->p = NULL;
            b->cap = 0;
        }
    }

    if (b->len + n <= b->cap)
        return;
    if (b->at > 0) {
        memmove(b->p, b->p + b->at, b->len - b->at);
        b->len -= b->at;
        b->at = 0;
        if (b->len + n <= b->cap)
            return;
    }

    size_t cap = b->cap ? b->cap : 4096;
    while (cap < b->len + n)
        cap *= 2;
    if (!(b->p = realloc(b->p, cap)))
        die("out of memory");
    b->cap = cap;
}

static inline void buf_add(struct buf *b, const void *bytes, size_t n)
{
    buf_room(b, n);
    memcpy(b->p + b->len, bytes, n);
    b->len += n;
}

static inline void buf_text(struct buf *b, const char *text) { buf_add(b, text, strlen(text)); }

__attribute__((format(printf, 2, 3))) static inline void buf_format(struct buf *b, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buf_add(b, text, n);
}

static inline size_t buf_size(const struct buf *b) { return b->len - b->at; }
static inline char *buf_data(const struct buf *b) { return b->p + b->at; }

static inline void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

// ---- HTTP/1.1, read piece by piece.

enum { HTTP_HEAD, HTTP_LENGTH, HTTP_CHUNK_SIZE, HTTP_CHUNK, HTTP_CHUNK_END, HTTP_TRAILER, HTTP_REST, HTTP_DONE };

struct http {
    int state;
    size_t left, seen;
    int status;
    char method[8], path[256], session[128];
    bool is_events, closes, is_direct;
    struct buf body;     // decoded, when the message is chunked or ends with the connection
    const char *direct;  // the body where it stands in the input, when its length was given
    size_t direct_size;
};

static inline const char *http_body(const struct http *h, size_t *size)
{
    *size = h->is_direct ? h->direct_size : buf_size(&h->body);
    return h->is_direct ? h->direct : buf_data(&h->body);
}

static inline void http_next(struct http *h, struct buf *in)
{
    if (h->is_direct)
        in->at += h->direct_size;
    struct buf body = h->body;
    body.at = body.len = 0;
    if (body.cap > KEEP_BYTES)
        buf_free(&body);
    memset(h, 0, sizeof *h);
    h->body = body;
}

static inline bool header_is(const char *line, size_t n, const char *name, const char **value, size_t *size)
{
    size_t length = strlen(name);
    if (n <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
        return false;
    *value = line + length + 1;
    *size = n - length - 1;
    while (*size && **value == ' ')
        (*value)++, (*size)--;
    return true;
}

static inline bool http_head(struct http *h, const char *head, size_t size, bool is_response)
{
    const char *end = head + size, *line = head;
    bool has_length = false, is_chunked = false;
    size_t length = 0;
    for (bool first = true; line < end; first = false) {
        const char *stop = memchr(line, '\n', end - line);
        size_t n = (stop ? stop : end) - line;
        if (n && line[n - 1] == '\r')
            n--;
        const char *value;
        size_t count;
        if (first && is_response) {
            if (n < 12)
                return false;
            h->status = atoi(line + 9);
        } else if (first) {
            if (sscanf(line, "%7s %255s", h->method, h->path) != 2)
                return false;
        } else if (header_is(line, n, "content-length", &value, &count)) {
            has_length = true;
            length = strtoull(value, NULL, 10);
        } else if (header_is(line, n, "transfer-encoding", &value, &count)) {
            is_chunked = count >= 7 && strncasecmp(value, "chunked", 7) == 0;
        } else if (header_is(line, n, "content-type", &value, &count)) {
            h->is_events = count >= 17 && strncasecmp(value, "text/event-stream", 17) == 0;
        } else if (header_is(line, n, "connection", &value, &count)) {
            h->closes = count >= 5 && strncasecmp(value, "close", 5) == 0;
        } else if (header_is(line, n, "mcp-session-id", &value, &count)) {
            snprintf(h->session, sizeof h->session, "%.*s", (int)count, value);
        }

        line = stop ? stop + 1 : end;
    }

    if (is_chunked) {
        h->state = HTTP_CHUNK_SIZE;
    } else if (has_length || !is_response || h->status == 204 || h->status == 304 || h->status < 200) {
        h->state = HTTP_LENGTH;
        h->left = length;
        h->is_direct = true;
    } else {
        h->state = HTTP_REST;
        h->closes = true;
    }

    return true;
}

// 1: a whole message is there; 0: more bytes are needed; -1: this is not HTTP.
static inline int http_read(struct http *h, struct buf *in, bool is_response)
{
    for (;;) {
        size_t n = buf_size(in);
        char *p = buf_data(in);
        switch (h->state) {
        case HTTP_HEAD: {
            size_t from = h->seen > 3 ? h->seen - 3 : 0;
            char *end = n > from ? memmem(p + from, n - from, "\r\n\r\n", 4) : NULL;
            if (!end) {
                h->seen = n;
                return 0;
            }
            if (!http_head(h, p, end - p, is_response))
                return -1;
            in->at += end + 4 - p;
            if (is_response && h->status < 200) {
                http_next(h, in);
                h->state = HTTP_HEAD;
            }
            break;
        }
        case HTTP_LENGTH:
            if (n < h->left) {
                buf_room(in, h->left - n);
                return 0;
            }
            h->direct = buf_data(in);
            h->direct_size = h->left;
            h->state = HTTP_DONE;
            return 1;
        case HTTP_CHUNK_SIZE: {
            char *end = memchr(p, '\n', n);
            if (!end)
                return 0;
            h->left = strtoull(p, NULL, 16);
            in->at += end + 1 - p;
            h->state = h->left ? HTTP_CHUNK : HTTP_TRAILER;
            break;
        }
        case HTTP_CHUNK:
            if (!n)
                return 0;
            if (n > h->left)
                n = h->left;
            buf_add(&h->body, p, n);
            in->at += n;
            if ((h->left -= n) == 0)
                h->state = HTTP_CHUNK_END;
            break;
        case HTTP_CHUNK_END:
            if (n < 2)
                return 0;
            in->at += 2;
            h->state = HTTP_CHUNK_SIZE;
            break;
        case HTTP_TRAILER: {
            char *end = memchr(p, '\n', n);
            if (!end)
                return 0;
            bool last = end - p <= 1;
            in->at += end + 1 - p;
            if (last) {
                h->state = HTTP_DONE;
                return 1;
            }
            break;
        }
        case HTTP_REST:
            if (n) {
                buf_add(&h->body, p, n);
                in->at += n;
            }
            return 0;
        default:
            return 1;
        }
    }
}

// ---- Event streams.

struct events {
    size_t at, scanned;
};

// Takes the data of the next whole event, whose lines it joins where they stand.
static inline bool events_next(struct events *e, char *bytes, size_t size, char **data, size_t *count)
{
    for (;;) {
        size_t from = e->scanned > e->at + 3 ? e->scanned - 3 : e->at;
        char *p = bytes + from, *end = NULL;
        while (p < bytes + size && (p = memchr(p, '\n', bytes + size - p))) {
            char *next = p + 1;
            if (next < bytes + size && *next == '\r')
                next++;
            if (next < bytes + size && *next == '\n') {
                end = next + 1;
                break;
            }
            p++;
        }

        if (!end) {
            e->scanned = size;
            return false;
        }

        char *line = bytes + e->at, *to = NULL;
        *count = 0;
        while (line < end) {
            char *stop = memchr(line, '\n', end - line);
            size_t n = stop - line;
            if (n && line[n - 1] == '\r')
                n--;
            if (n > 5 && memcmp(line, "data:", 5) == 0) {
                char *text = line + 5;
                n -= 5;
                if (*text == ' ')
                    text++, n--;
                if (!to) {
                    to = text;
                } else {
                    to[(*count)++] = ' ';
                    memmove(to + *count, text, n);
                }
                *count += n;
            }
            line = stop + 1;
        }

        e->at = e->scanned = end - bytes;
        if (to && *count) {
            *data = to;
            return true;
        }
    }
}

// ---- JSON-RPC.

// Finds the value of a member of the outermost object; looks no further than it has to.
static inline bool json_member(const char *json, size_t size, const char *name, const char **value, size_t *count)
{
    size_t length = strlen(name);
    const char *p = json, *end = json + size;
    int depth = 0;
    bool is_name = false, found = false;
    while (p < end) {
        char c = *p;
        if (found && depth == 1 && c != ' ') {
            *value = p;
            const char *stop = p;
            if (c == '"') {
                while (++stop < end && *stop != '"')
                    stop += *stop == '\\';
                stop++;
            } else {
                while (stop < end && *stop != ',' && *stop != '}')
                    stop++;
            }
            *count = stop - p;
            return true;
        }

        if (c == '"') {
            const char *start = ++p;
            for (;;) {
                p = memchr(p, '"', end - p);
                if (!p)
                    return false;
                size_t slashes = 0;
                while (p - slashes > start && p[-1 - (ptrdiff_t)slashes] == '\\')
                    slashes++;
                if (slashes % 2 == 0)
                    break;
                p++;
            }
            if (depth == 1 && is_name) {
                is_name = false;
                if ((size_t)(p - start) == length && memcmp(start, name, length) == 0) {
                    found = true;
                    p++;
                    while (p < end && (*p == ' ' || *p == ':'))
                        p++;
                    continue;
                }
            }
        } else if (c == '{' || c == '[') {
            depth++;
            is_name = depth == 1;
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',' && depth == 1) {
            is_name = true;
        }
        p++;
    }

    return false;
}

static inline bool method_is(const char *json, size_t size, const char *method)
{
    const char *value;
    size_t count, length = strlen(method);
    return json_member(json, size, "method", &value, &count) && count == length + 2 && memcmp(value + 1, method, length) == 0;
}

// ---- Sockets and pipes.

static inline void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static inline int listen_on(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&a, &size))
        die("cannot listen on port %d: %s", *port, strerror(errno));
    *port = ntohs(a.sin_port);
    return fd;
}

// -1 when nobody listens.
static inline int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0)
        die("no socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_nonblocking(fd);
    return fd;
}

static inline int accept_from(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

// Reads what is there, but at most once for small messages: >0 bytes, 0 end, -1 nothing now.
static inline ssize_t read_some(int fd, struct buf *in)
{
    buf_room(in, 16 * 1024);
    ssize_t n = read(fd, in->p + in->len, in->cap - in->len);
    if (n > 0)
        in->len += n;
    else if (n < 0)
        n = errno == EAGAIN || errno == EINTR ? -1 : 0;
    return n;
}

// False when the reader is gone. What does not fit now stays.
static inline bool write_some(int fd, struct buf *out)
{
    while (buf_size(out)) {
        ssize_t n = write(fd, buf_data(out), buf_size(out));
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        out->at += n;
    }
    if (out->cap > KEEP_BYTES)
        buf_room(out, 1);
    return true;
}

static inline void raise_limits(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
