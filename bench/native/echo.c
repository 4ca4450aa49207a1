// The MCP server behind everything that is measured: `echo stdio`, `echo http [PORT]`, `echo https [PORT] CERT KEY`.
// tools/call echo answers with its "text"; "delay" (ms) holds the answer back, "progress" (count) sends so many
// notifications in one burst with the answer.
#include "wire.h"
#if __has_include(<openssl/ssl.h>)
#include <openssl/ssl.h>
#define HAS_TLS 1
#else
#define HAS_TLS 0
typedef void SSL;
#endif

struct conn {
    int fd, generation;
    bool is_watching_write, is_stream, is_greeted;
    struct buf in, out;
    struct http http;
    SSL *tls;
};

struct held {
    double due;
    struct conn *conn;
    int generation;
    char *answer;
    size_t size;
};

static int s_poll;
static bool s_is_http;
static struct held *s_held;
static size_t s_held_count, s_held_cap;
static struct conn s_stdio;
static unsigned s_session;

static const char TOOLS[] =
    "{\"tools\":[{\"name\":\"echo\",\"description\":\"Says what it hears\",\"inputSchema\":{\"type\":\"object\",\"properties\":"
    "{\"text\":{\"type\":\"string\"},\"delay\":{\"type\":\"number\"},\"progress\":{\"type\":\"number\"}},\"required\":[\"text\"]}}]}";

static void watch(struct conn *c)
{
    bool wanted = buf_size(&c->out) > 0;
    if (wanted == c->is_watching_write)
        return;
    c->is_watching_write = wanted;
    struct epoll_event e = {.events = (c == &s_stdio ? 0 : EPOLLIN) | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    if (c != &s_stdio)
        epoll_ctl(s_poll, EPOLL_CTL_MOD, c->fd, &e);
}

static void drop(struct conn *c)
{
#if HAS_TLS
    if (c->tls)
        SSL_free(c->tls);
#endif
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->http.body);
    int generation = c->generation + 1;
    memset(c, 0, sizeof *c);
    c->fd = -1;
    c->generation = generation;
}

static void flush_out(struct conn *c)
{
    if (c == &s_stdio) {
        // Blocking: whoever started us has to read.
        if (!write_some(1, &c->out))
            exit(0);
        return;
    }

#if HAS_TLS
    if (c->tls) {
        while (buf_size(&c->out)) {
            int n = SSL_write(c->tls, buf_data(&c->out), (int)buf_size(&c->out));
            if (n <= 0)
                break;
            c->out.at += n;
        }
        watch(c);
        return;
    }
#endif
    if (!write_some(c->fd, &c->out)) {
        drop(c);
        return;
    }
    watch(c);
}

static void answer(struct conn *c, const char *json, size_t size, const char *extra_headers)
{
    if (s_is_http)
        buf_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n", extra_headers, size);
    buf_add(&c->out, json, size);
    if (!s_is_http)
        buf_add(&c->out, "\n", 1);
}

static void status(struct conn *c, int code)
{
    if (s_is_http)
        buf_format(&c->out, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n", code, code == 202 ? "Accepted" : code == 200 ? "OK" : "Not Found");
}

static bool argument(const char *json, size_t size, const char *name, const char **value)
{
    char *found = memmem(json, size, name, strlen(name));
    *value = found ? found + strlen(name) : NULL;
    return found != NULL;
}

static void burst(struct conn *c, const char *id, int id_size, int count, const char *token, int token_size, const char *result, size_t size)
{
    struct buf all = {0};
    const char *before = s_is_http ? "event: message\ndata: " : "", *after = s_is_http ? "\n\n" : "\n";
    for (int i = 1; i <= count; i++)
        buf_format(&all, "%s{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%.*s,\"progress\":%d,\"total\":%d}}%s",
            before, token_size, token, i, count, after);
    (void)id, (void)id_size;
    buf_text(&all, before);
    buf_add(&all, result, size);
    buf_text(&all, after);
    if (s_is_http)
        buf_format(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", buf_size(&all));
    buf_add(&c->out, buf_data(&all), buf_size(&all));
    if (s_is_http)
        buf_text(&c->out, "\r\n0\r\n\r\n");
    buf_free(&all);
}

static void hold(struct conn *c, const char *json, size_t size, int delay)
{
    if (s_held_count == s_held_cap) {
        s_held_cap = s_held_cap ? s_held_cap * 2 : 64;
        s_held = realloc(s_held, s_held_cap * sizeof *s_held);
    }
    char *copy = malloc(size);
    memcpy(copy, json, size);
    s_held[s_held_count++] = (struct held){now_us() + delay * 1e3, c, c->generation, copy, size};
}

static void handle(struct conn *c, const char *json, size_t size)
{
    static struct buf s_result;
    const char *id, *value;
    size_t id_size, count;
    if (!json_member(json, size, "method", &value, &count) || !json_member(json, size, "id", &id, &id_size)) {
        status(c, 202);
        return;
    }

    char *method = strndupa(value + 1, count - 2);
    struct buf *r = &s_result;
    r->at = r->len = 0;
    buf_text(r, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add(r, id, id_size);
    char extra[128] = "";
    if (strcmp(method, "tools/call") == 0 && argument(json, size, "\"text\":\"", &value)) {
        const char *end = memchr(value, '"', json + size - value), *option;
        size_t text = end ? end - value : 0;
        buf_text(r, ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"");
        buf_add(r, value, text);
        buf_text(r, "\"}]}}");
        size_t head = value - json < 512 ? value - json : 512;
        int delay = argument(json, head, "\"delay\":", &option) ? atoi(option) : 0;
        int progress = argument(json, head, "\"progress\":", &option) ? atoi(option) : 0;
        if (progress > 0) {
            const char *token = NULL;
            if (!argument(json, size, "\"progressToken\":", &token))
                token = "0}";
            int n = (int)strcspn(token, ",}");
            burst(c, id, (int)id_size, progress, token, n, buf_data(r), buf_size(r));
            return;
        }
        if (delay > 0) {
            hold(c, buf_data(r), buf_size(r), delay);
            return;
        }
    } else if (strcmp(method, "initialize") == 0) {
        const char *version = "2025-06-18\"";
        argument(json, size, "\"protocolVersion\":\"", &value);
        buf_format(r, ",\"result\":{\"protocolVersion\":\"%.10s\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"echo\",\"version\":\"1.0.0\"}}}", value ? value : version);
        snprintf(extra, sizeof extra, "Mcp-Session-Id: echo-%d-%u\r\n", getpid(), ++s_session);
    } else if (strcmp(method, "tools/list") == 0) {
        buf_format(r, ",\"result\":%s}", TOOLS);
    } else if (strcmp(method, "ping") == 0) {
        buf_text(r, ",\"result\":{}}");
    } else {
        buf_text(r, ",\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
    }

    answer(c, buf_data(r), buf_size(r), extra);
    if (r->cap > KEEP_BYTES)
        buf_free(r);
}

static void request(struct conn *c)
{
    size_t size;
    const char *body = http_body(&c->http, &size);
    if (strcmp(c->http.path, "/mcp") != 0)
        status(c, 404);
    else if (strcmp(c->http.method, "POST") == 0)
        handle(c, body, size);
    else if (strcmp(c->http.method, "GET") == 0)
        buf_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n");
    else
        status(c, 200);
}

static void readable(struct conn *c)
{
#if HAS_TLS
    if (c->tls) {
        for (;;) {
            if (!c->is_greeted) {
                if (SSL_accept(c->tls) != 1)
                    return;
                c->is_greeted = true;
            }
            buf_room(&c->in, 16 * 1024);
            int n = SSL_read(c->tls, c->in.p + c->in.len, (int)(c->in.cap - c->in.len));
            if (n <= 0) {
                int e = SSL_get_error(c->tls, n);
                if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
                    drop(c);
                    return;
                }
                break;
            }
            c->in.len += n;
        }
    } else
#endif
    {
        ssize_t n = read_some(c->fd, &c->in);
        if (n == 0) {
            drop(c);
            return;
        }
    }

    while (buf_size(&c->in)) {
        int got = http_read(&c->http, &c->in, false);
        if (got < 0) {
            drop(c);
            return;
        }
        if (got == 0)
            break;
        request(c);
        http_next(&c->http, &c->in);
    }
    flush_out(c);
}

// Microseconds until the next answer is due; negative when none is held.
static double release_due(void)
{
    double now = now_us(), next = -1;
    size_t kept = 0;
    for (size_t i = 0; i < s_held_count; i++) {
        struct held h = s_held[i];
        if (h.due <= now) {
            if (h.conn->generation == h.generation) {
                answer(h.conn, h.answer, h.size, "");
                if (s_is_http)
                    flush_out(h.conn);
            }
            free(h.answer);
        } else {
            next = next < 0 || h.due < next ? h.due : next;
            s_held[kept++] = h;
        }
    }
    s_held_count = kept;
    if (!s_is_http && buf_size(&s_stdio.out))
        flush_out(&s_stdio);
    return next < 0 ? -1 : next - now;
}

static int wait_for(struct epoll_event *got, int max, double us)
{
    struct timespec t = {(time_t)(us / 1e6), (long)us % 1000000 * 1000};
    return epoll_pwait2(s_poll, got, max, us < 0 ? NULL : &t, NULL);
}

static int serve_stdio(void)
{
    // Blocking reads: the fastest there is for one peer. Only answers that are held back need a clock.
    struct epoll_event e = {.events = EPOLLIN};
    s_poll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(s_poll, EPOLL_CTL_ADD, 0, &e);
    for (;;) {
        double us = release_due();
        if (us >= 0) {
            struct epoll_event got;
            if (wait_for(&got, 1, us) == 0)
                continue;
        }
        ssize_t n = read_some(0, &s_stdio.in);
        if (n == 0)
            return 0;
        if (n < 0)
            continue;
        char *from = s_stdio.in.p + s_stdio.in.len - n, *end;
        while ((end = memchr(from, '\n', s_stdio.in.p + s_stdio.in.len - from))) {
            handle(&s_stdio, buf_data(&s_stdio.in), end - buf_data(&s_stdio.in));
            s_stdio.in.at = end + 1 - s_stdio.in.p;
            from = end + 1;
        }
        flush_out(&s_stdio);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    if (argc > 1 && strcmp(argv[1], "stdio") == 0)
        return serve_stdio();
    s_is_http = argc > 1 && strncmp(argv[1], "http", 4) == 0;
    if (!s_is_http)
        die("usage: echo stdio | echo http [PORT] | echo https PORT CERT KEY");
    int port = argc > 2 ? atoi(argv[2]) : 0, listener = listen_on(&port);
#if HAS_TLS
    SSL_CTX *tls = NULL;
    if (strcmp(argv[1], "https") == 0) {
        tls = SSL_CTX_new(TLS_server_method());
        if (argc < 5 || SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1 || SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1)
            die("https needs a port, a certificate and a key");
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
#else
    if (strcmp(argv[1], "https") == 0)
        die("built without OpenSSL");
#endif
    s_poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(s_poll, EPOLL_CTL_ADD, listener, &e);
    static struct conn s_conns[8192];
    for (size_t i = 0; i < sizeof s_conns / sizeof *s_conns; i++)
        s_conns[i].fd = -1;
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event got[128];
        int n = wait_for(got, 128, release_due());
        for (int i = 0; i < n; i++) {
            struct conn *c = got[i].data.ptr;
            if (!c) {
                for (int fd; (fd = accept_from(listener)) >= 0;) {
                    if (fd >= (int)(sizeof s_conns / sizeof *s_conns)) {
                        close(fd);
                        continue;
                    }
                    c = &s_conns[fd];
                    c->fd = fd;
#if HAS_TLS
                    if (tls) {
                        c->tls = SSL_new(tls);
                        SSL_set_fd(c->tls, fd);
                        SSL_set_accept_state(c->tls);
                    }
#endif
                    e = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(s_poll, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            if (c->fd >= 0 && got[i].events & EPOLLOUT)
                flush_out(c);
            if (c->fd >= 0 && got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                readable(c);
        }
    }
}
