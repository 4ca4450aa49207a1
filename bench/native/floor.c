// The least that a relay must do, by hand: what no proxy can be faster than.
//   floor connect PORT            standard input and output to Streamable HTTP on this machine
//   floor serve PORT -- COMMAND   Streamable HTTP, with sessions, to one child that all share
// It is a measure, not a product: it believes what it reads.
// A relay that stays small gives the memory of a large message back.
#define KEEP_BYTES (64 * 1024)
#include "wire.h"

struct conn {
    int fd;
    bool is_watching_write, is_busy, is_request, is_initialize, is_stream;
    struct buf in, out;
    struct http http;
    struct events events;
    // serve: the request that the connection waits for.
    char id[64];
    int id_size, session;
    unsigned slot;
    struct conn *next_free;
};

static int s_poll, s_port;
static struct conn s_pipe;  // standard input and output, or the child's
static struct conn *s_free;
static char s_session[128];
static int s_in_flight;

static void watch(struct conn *c)
{
    bool wanted = buf_size(&c->out) > 0;
    if (wanted == c->is_watching_write)
        return;
    c->is_watching_write = wanted;
    struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(s_poll, EPOLL_CTL_MOD, c->fd, &e);
}

static void add(int fd, void *data, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = data};
    if (epoll_ctl(s_poll, EPOLL_CTL_ADD, fd, &e) && errno != EPERM)
        die("epoll: %s", strerror(errno));
}

// ---- connect

static void post(const char *json, size_t size)
{
    struct conn *c = s_free;
    if (c) {
        s_free = c->next_free;
    } else {
        c = calloc(1, sizeof *c);
        c->fd = -1;
    }
    if (c->fd < 0) {
        if ((c->fd = connect_to(s_port)) < 0)
            die("cannot connect to port %d", s_port);
        add(c->fd, c, EPOLLIN);
    }
    const char *value;
    size_t count;
    c->is_busy = true;
    c->is_request = json_member(json, size, "id", &value, &count);
    s_in_flight++;
    buf_format(&c->out, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n%s%s%sContent-Length: %zu\r\n\r\n",
        s_port, *s_session ? "Mcp-Session-Id: " : "", s_session, *s_session ? "\r\nMCP-Protocol-Version: 2025-06-18\r\n" : "", size);
    buf_add(&c->out, json, size);
    if (!write_some(c->fd, &c->out))
        die("the server is gone");
    watch(c);
}

static void say(const char *json, size_t size)
{
    buf_add(&s_pipe.out, json, size);
    buf_add(&s_pipe.out, "\n", 1);
}

static void response(struct conn *c)
{
    ssize_t n = read_some(c->fd, &c->in);
    if (n == 0) {
        if (c->is_busy)
            die("the server broke off");
        close(c->fd);
        c->fd = -1;
        return;
    }
    while (buf_size(&c->in)) {
        int got = http_read(&c->http, &c->in, true);
        if (got < 0)
            die("the server does not speak HTTP");
        if (c->http.is_events) {
            char *data;
            size_t count;
            while (events_next(&c->events, buf_data(&c->http.body), buf_size(&c->http.body), &data, &count))
                say(data, count);
        }
        if (got == 0)
            return;
        size_t size;
        const char *body = http_body(&c->http, &size);
        if (!c->http.is_events && c->is_request && size)
            say(body, size);
        if (*c->http.session)
            strcpy(s_session, c->http.session);
        http_next(&c->http, &c->in);
        c->events = (struct events){0};
        c->is_busy = false;
        c->next_free = s_free;
        s_free = c;
        s_in_flight--;
    }
}

static int relay_connect(void)
{
    bool is_ended = false;
    add(0, &s_pipe, EPOLLIN);
    for (;;) {
        struct epoll_event got[64];
        int n = epoll_wait(s_poll, got, 64, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = got[i].data.ptr;
            if (c != &s_pipe) {
                if (got[i].events & EPOLLOUT) {
                    if (!write_some(c->fd, &c->out))
                        die("the server is gone");
                    watch(c);
                }
                if (got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    response(c);
                continue;
            }
            ssize_t count = read_some(0, &c->in);
            if (count == 0) {
                is_ended = true;
                epoll_ctl(s_poll, EPOLL_CTL_DEL, 0, NULL);
            }
            char *from = c->in.p + c->in.len - (count > 0 ? count : 0), *end;
            while ((end = memchr(from, '\n', c->in.p + c->in.len - from))) {
                post(buf_data(&c->in), end - buf_data(&c->in));
                c->in.at = end + 1 - c->in.p;
                from = end + 1;
            }
        }
        if (buf_size(&s_pipe.out) && !write_some(1, &s_pipe.out))
            return 0;
        if (is_ended && s_in_flight == 0)
            return 0;
    }
}

// ---- serve

#define MAX_SESSIONS 4096
#define MAX_SLOTS 65536
static uint64_t s_sessions[MAX_SESSIONS];
static struct conn *s_slots[MAX_SLOTS];
static unsigned s_last_slot;
static FILE *s_random;

static int session_of(const char *text)
{
    unsigned index;
    uint64_t secret;
    return sscanf(text, "%x-%lx", &index, &secret) == 2 && index < MAX_SESSIONS && s_sessions[index] == secret ? (int)index : -1;
}

static int new_session(void)
{
    for (int i = 0; i < MAX_SESSIONS; i++) {
        if (!s_sessions[i]) {
            if (!s_random)
                s_random = fopen("/dev/urandom", "re");
            if (fread(&s_sessions[i], 8, 1, s_random) != 1)
                die("no random bytes");
            return i;
        }
    }
    return -1;
}

static void status(struct conn *c, const char *line) { buf_format(&c->out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", line); }

static void drop(struct conn *c)
{
    if (c->is_busy)
        s_slots[c->slot] = NULL;
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->http.body);
    free(c);
}

static void request(struct conn *c)
{
    struct http *h = &c->http;
    int session = *h->session ? session_of(h->session) : -1;
    size_t size, count;
    const char *body = http_body(h, &size), *value;
    bool is_initialize = session < 0 && size && method_is(body, size, "initialize");
    if (strcmp(h->path, "/mcp") != 0 || (session < 0 && !is_initialize)) {
        status(c, "404 Not Found");
    } else if (strcmp(h->method, "GET") == 0) {
        c->is_stream = true;
        buf_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n");
    } else if (strcmp(h->method, "DELETE") == 0) {
        s_sessions[session] = 0;
        status(c, "200 OK");
    } else if (!json_member(body, size, "id", &value, &count) || count >= sizeof c->id) {
        buf_add(&s_pipe.out, body, size);
        buf_add(&s_pipe.out, "\n", 1);
        status(c, "202 Accepted");
    } else {
        while (s_slots[++s_last_slot % MAX_SLOTS])
            ;
        c->slot = s_last_slot % MAX_SLOTS;
        s_slots[c->slot] = c;
        c->is_busy = true;
        c->is_initialize = is_initialize;
        c->session = is_initialize ? new_session() : session;
        memcpy(c->id, value, c->id_size = (int)count);
        buf_add(&s_pipe.out, body, value - body);
        buf_format(&s_pipe.out, "%u", c->slot);
        buf_add(&s_pipe.out, value + count, body + size - value - count);
        buf_add(&s_pipe.out, "\n", 1);
    }
}

static void from_child(const char *json, size_t size)
{
    const char *id;
    size_t count;
    if (!json_member(json, size, "id", &id, &count))
        return;
    struct conn *c = s_slots[strtoul(id, NULL, 10) % MAX_SLOTS];
    if (!c)
        return;
    s_slots[c->slot] = NULL;
    c->is_busy = false;
    buf_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    if (c->is_initialize)
        buf_format(&c->out, "Mcp-Session-Id: %x-%lx\r\n", c->session, s_sessions[c->session]);
    buf_format(&c->out, "Content-Length: %zu\r\n\r\n", size - count + c->id_size);
    buf_add(&c->out, json, id - json);
    buf_add(&c->out, c->id, c->id_size);
    buf_add(&c->out, id + count, json + size - id - count);
    // A client that is gone is noticed where it is read.
    if (write_some(c->fd, &c->out))
        watch(c);
}

static void client(struct conn *c)
{
    if (read_some(c->fd, &c->in) == 0) {
        drop(c);
        return;
    }
    while (buf_size(&c->in) && !c->is_busy) {
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
    if (buf_size(&c->out)) {
        if (!write_some(c->fd, &c->out)) {
            drop(c);
            return;
        }
        watch(c);
    }
    if (c->is_stream) {
        // Nothing more is expected of it: an idle stream keeps no buffers.
        buf_free(&c->in);
        if (!buf_size(&c->out))
            buf_free(&c->out);
    }
}

static volatile sig_atomic_t s_stop;
static void stop(int signal) { s_stop = signal; }

static int relay_serve(char **command)
{
    int to[2], from[2], listener = listen_on(&s_port), is_listener;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        die("no pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execvp(command[0], command);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    signal(SIGTERM, stop);
    set_nonblocking(to[1]);
    s_pipe.fd = to[1];
    add(listener, &is_listener, EPOLLIN);
    add(from[0], &s_pipe.in, EPOLLIN);
    add(to[1], &s_pipe, EPOLLET | EPOLLOUT);
    while (!s_stop) {
        struct epoll_event got[128];
        int n = epoll_wait(s_poll, got, 128, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = got[i].data.ptr;
            if (c == (void *)&is_listener) {
                for (int fd; (fd = accept_from(listener)) >= 0;) {
                    c = calloc(1, sizeof *c);
                    c->fd = fd;
                    add(fd, c, EPOLLIN);
                }
            } else if (c == (void *)&s_pipe.in) {
                struct buf *in = &s_pipe.in;
                ssize_t count = read_some(from[0], in);
                if (count == 0)
                    return 1;
                char *start = in->p + in->len - (count > 0 ? count : 0), *end;
                while ((end = memchr(start, '\n', in->p + in->len - start))) {
                    from_child(buf_data(in), end - buf_data(in));
                    in->at = end + 1 - in->p;
                    start = end + 1;
                }
            } else if (c != &s_pipe) {
                if (got[i].events & EPOLLOUT) {
                    write_some(c->fd, &c->out);
                    watch(c);
                }
                if (got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    client(c);
            }
        }
        if (buf_size(&s_pipe.out) && !write_some(s_pipe.fd, &s_pipe.out))
            return 1;
    }
    close(to[1]);
    waitpid(child, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    s_poll = epoll_create1(EPOLL_CLOEXEC);
    if (argc == 3 && strcmp(argv[1], "connect") == 0) {
        s_port = atoi(argv[2]);
        return relay_connect();
    }
    if (argc > 4 && strcmp(argv[1], "serve") == 0 && strcmp(argv[3], "--") == 0) {
        s_port = atoi(argv[2]);
        return relay_serve(argv + 4);
    }
    die("usage: floor connect PORT | floor serve PORT -- COMMAND");
}
