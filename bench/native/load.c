// The load generator and the observer: starts one program, measures one thing about it, prints one line of JSON.
//   load SCENARIO [--down stdio|http] --server PATH [--pin CPU] [--ms N] [--count N] [--sessions N] [--timeout S]
//        [--env NAME=VALUE] [--certificate FILE --key FILE] [--log FILE] [-- COMMAND...]
// In COMMAND, {url}, {tlsurl} and {port} are replaced: the address of an echo server that is started first (or of its TLS
// twin), and a free port on which COMMAND is to serve /mcp. Without COMMAND the echo server itself is asked over HTTP.
#include "wire.h"
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define MAX_IN_FLIGHT 256
#define MAX_SESSIONS 4096
#define ID_STEP 1024
#define MEGABYTE (1024 * 1024)

static char s_failure[256];
static pid_t s_program, s_echo;
static const char *s_server, *s_certificate, *s_key, *s_log = "/dev/null";
static char *s_environment[64];
static int s_environment_count, s_pin = -1, s_sessions_wanted = 1, s_count;
static char **s_command;
static bool s_is_http;
static int s_port, s_poll;
static double s_timeout = 60, s_ms = 2000;

// ---- Ending

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    char *end = strrchr(text, ')');
    int parent;
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

static bool is_server(pid_t pid)
{
    char path[64], target[512];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = 0;
    return strcmp(target, s_server) == 0;
}

// The processes that this one started, and those that they started.
static int descendants(pid_t *found, int max)
{
    static pid_t s_pids[65536], s_parents[65536];
    int all = 0, count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && all < 65536) {
            s_pids[all] = pid;
            s_parents[all++] = parent_of(pid);
        }
    }
    closedir(proc);
    pid_t self = getpid();
    for (bool grows = true; grows;) {
        grows = false;
        for (int i = 0; i < all; i++) {
            if (!s_pids[i])
                continue;
            bool mine = s_parents[i] == self;
            for (int k = 0; !mine && k < count; k++)
                mine = found[k] == s_parents[i];
            if (mine && count < max) {
                found[count++] = s_pids[i];
                s_pids[i] = 0;
                grows = true;
            }
        }
    }
    return count;
}

static void end_all(void)
{
    static pid_t s_found[16384];
    for (int round = 0; round < 20; round++) {
        int count = descendants(s_found, 16384);
        if (count == 0)
            return;
        for (int i = 0; i < count; i++)
            kill(s_found[i], SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        usleep(2000);
    }
}

static void finish(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char text[1024];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (*s_failure)
        printf("{\"error\":\"%s\"}\n", s_failure);
    else
        printf("{%s}\n", text);
    fflush(stdout);
    end_all();
    exit(*s_failure ? 1 : 0);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s_failure, sizeof s_failure, format, arguments);
    va_end(arguments);
    for (char *p = s_failure; *p; p++) {
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
            *p = '\'';
    }
    finish("%s", "");
    abort();
}

static void on_alarm(int signal)
{
    (void)signal;
    fail("no end after %.0f s", s_timeout);
}

// ---- What the program uses

struct memory {
    long rss, pss, private, peak;
};

static long field(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? atol(found + strlen(name)) : 0;
}

static bool read_proc(pid_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(fd, text + n, size - 1 - n)) > 0;)
        n += got;
    close(fd);
    text[n] = 0;
    return n > 0;
}

// All processes of the program, without the servers that it started.
static int program(pid_t *pids, int max)
{
    int all = descendants(pids, max), count = 0;
    for (int i = 0; i < all; i++) {
        if (pids[i] != s_echo && !is_server(pids[i]))
            pids[count++] = pids[i];
    }
    return count;
}

static struct memory memory(void)
{
    static pid_t s_pids[16384];
    static char s_text[8192];
    struct memory m = {0};
    int count = program(s_pids, 16384);
    for (int i = 0; i < count; i++) {
        if (read_proc(s_pids[i], "smaps_rollup", s_text, sizeof s_text)) {
            m.rss += field(s_text, "\nRss:");
            m.pss += field(s_text, "\nPss:");
            m.private += field(s_text, "Private_Clean:") + field(s_text, "Private_Dirty:");
        }
        if (read_proc(s_pids[i], "status", s_text, sizeof s_text))
            m.peak += field(s_text, "VmHWM:");
    }
    return m;
}

static void forget_peak(void)
{
    static pid_t s_pids[16384];
    int count = program(s_pids, 16384);
    for (int i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/clear_refs", s_pids[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, "5", 1) == 1)
            close(fd);
    }
}

// Milliseconds of processor time so far: of the program, and of it with its servers.
static void processor(double *alone, double *with_servers)
{
    static pid_t s_pids[16384];
    int count = descendants(s_pids, 16384);
    *alone = *with_servers = 0;
    for (int i = 0; i < count; i++) {
        clockid_t clock;
        struct timespec t;
        if (s_pids[i] == s_echo || clock_getcpuclockid(s_pids[i], &clock) || clock_gettime(clock, &t))
            continue;
        double ms = t.tv_sec * 1e3 + t.tv_nsec / 1e6;
        *with_servers += ms;
        *alone += is_server(s_pids[i]) ? 0 : ms;
    }
}

// ---- The client

struct session {
    char id[128];
};

struct slot {
    struct conn *conn;
    bool is_busy, is_answered;
    uint64_t id;
    double sent, answered;
    int session, progress, size;
};

struct conn {
    int fd, slot;
    bool is_watching_write, is_stream, is_open, is_control;
    struct buf in, out;
    struct http http;
    struct events events;
};

static struct conn s_pipe = {.fd = -1, .slot = -1};
static struct conn s_conns[MAX_IN_FLIGHT], s_control = {.fd = -1, .slot = -1, .is_control = true};
static struct slot s_slots[MAX_IN_FLIGHT];
static struct session s_sessions[MAX_SESSIONS];
static uint64_t s_last_id;
static long s_notifications;
static int s_completed;
static char s_control_answer[4096];
static bool s_control_done;
static char *s_filler;
static bool s_checks_text;
static char s_last_text[64];

static void watch(struct conn *c)
{
    bool wanted = buf_size(&c->out) > 0;
    if (wanted == c->is_watching_write)
        return;
    c->is_watching_write = wanted;
    struct epoll_event e = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c == &s_pipe) {
        e.events = wanted ? EPOLLOUT : 0;
        epoll_ctl(s_poll, EPOLL_CTL_MOD, 1000, &e);
    } else {
        epoll_ctl(s_poll, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void send_out(struct conn *c)
{
    if (!write_some(c == &s_pipe ? 1000 : c->fd, &c->out))
        fail("the program closed its side");
    watch(c);
}

static void reach(struct conn *c)
{
    if (c->fd >= 0)
        return;
    if ((c->fd = connect_to(s_port)) < 0)
        fail("cannot connect: %s", strerror(errno));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(s_poll, EPOLL_CTL_ADD, c->fd, &e);
    c->is_watching_write = false;
}

static void drop(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->http.body);
    memset(&c->http, 0, sizeof c->http);
    c->events = (struct events){0};
    c->is_open = false;
}

static void request(struct conn *c, const char *method, int session, const char *json, size_t size)
{
    reach(c);
    const char *id = session >= 0 ? s_sessions[session].id : "";
    buf_format(&c->out, "%s /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: %s\r\n%s%s%s", method, s_port,
        *method == 'G' ? "text/event-stream" : "application/json, text/event-stream",
        *id ? "Mcp-Session-Id: " : "", id, *id ? "\r\nMCP-Protocol-Version: 2025-06-18\r\n" : "");
    if (json)
        buf_format(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", size);
    buf_text(&c->out, "\r\n");
    if (json)
        buf_add(&c->out, json, size);
    send_out(c);
}

// Something that was said to us: an answer finds its slot by the connection, or by its id.
static void hear(struct conn *c, const char *json, size_t size)
{
    const char *id;
    size_t count;
    if (!json_member(json, size, "id", &id, &count)) {
        if (method_is(json, size, "notifications/progress"))
            s_notifications++;
        return;
    }

    if (c->is_control || (c == &s_pipe && count == 3 && memcmp(id, "\"c\"", 3) == 0)) {
        snprintf(s_control_answer, sizeof s_control_answer, "%.*s", (int)(size < 4000 ? size : 4000), json);
        s_control_done = true;
        return;
    }

    const char *method;
    if (json_member(json, size, "method", &method, &count))
        return;
    uint64_t number = strtoull(id, NULL, 10);
    int index = c->slot >= 0 ? c->slot : (int)(number % ID_STEP);
    if (index >= MAX_IN_FLIGHT || !s_slots[index].is_busy || s_slots[index].id != number)
        fail("an answer to nothing: %.80s", json);
    struct slot *slot = &s_slots[index];
    if ((int)size < slot->size)
        fail("an answer of %zu bytes to a request of %d: %.80s", size, slot->size, json);
    if (s_checks_text) {
        char *text = memmem(json, size, "\"text\":\"", 8);
        snprintf(s_last_text, sizeof s_last_text, "%.*s", text ? 24 : 0, text ? text + 8 : "");
    }
    slot->answered = now_us();
    slot->is_answered = true;
    if (c == &s_pipe) {
        slot->is_busy = false;
        s_completed++;
    }
}

static void read_http(struct conn *c)
{
    ssize_t n = read_some(c->fd, &c->in);
    for (;;) {
        int got = buf_size(&c->in) || n == 0 ? http_read(&c->http, &c->in, true) : 0;
        if (n == 0 && c->http.state == HTTP_REST)
            got = 1;
        if (got < 0)
            fail("no HTTP: %.60s", buf_data(&c->in));
        if (c->is_stream && c->http.status == 200)
            c->is_open = true;
        if (c->http.is_events) {
            char *data;
            size_t count, size;
            char *body = (char *)http_body(&c->http, &size);
            while ((!c->http.is_direct || got == 1) && events_next(&c->events, body, size, &data, &count))
                hear(c, data, count);
            if (c->is_stream && c->events.at > KEEP_BYTES) {
                c->http.body.at = c->http.body.len = 0;
                c->events = (struct events){0};
            }
        }
        if (got == 0) {
            if (n != 0)
                return;
            bool was_waiting = c->slot >= 0 ? s_slots[c->slot].is_busy : c->is_control && !s_control_done;
            drop(c);
            if (was_waiting)
                fail("the program broke off");
            return;
        }

        size_t size;
        const char *body = http_body(&c->http, &size);
        if (*c->http.session && c->is_control)
            snprintf(s_sessions[MAX_SESSIONS - 1].id, 128, "%s", c->http.session);
        bool is_ok = c->http.status >= 200 && c->http.status < 300;
        if (!is_ok && !c->is_stream && !(c->is_control && c->http.status == 405))
            fail("HTTP %d: %.*s", c->http.status, (int)(size < 120 ? size : 120), body);
        if (is_ok && !c->http.is_events && size)
            hear(c, body, size);
        if (c->is_control)
            s_control_done = true;
        if (c->slot >= 0) {
            struct slot *slot = &s_slots[c->slot];
            if (slot->is_busy && !slot->is_answered)
                fail("a response without the answer: %.*s", (int)(size < 120 ? size : 120), body);
            if (slot->is_busy) {
                slot->is_busy = false;
                s_completed++;
            }
        }
        bool closes = c->http.closes;
        http_next(&c->http, &c->in);
        c->events = (struct events){0};
        if (closes || n == 0) {
            drop(c);
            return;
        }
        if (!buf_size(&c->in))
            return;
    }
}

static void read_pipe(void)
{
    struct conn *c = &s_pipe;
    ssize_t n = read_some(c->fd, &c->in);
    if (n == 0)
        fail("the program ended");
    if (n < 0)
        return;
    char *from = c->in.p + c->in.len - n, *end;
    while ((end = memchr(from, '\n', c->in.p + c->in.len - from))) {
        if (*buf_data(&c->in) == '{')
            hear(c, buf_data(&c->in), end - buf_data(&c->in));
        c->in.at = end + 1 - c->in.p;
        from = end + 1;
    }
}

static void pump(int timeout)
{
    struct epoll_event got[64];
    int n = epoll_wait(s_poll, got, 64, timeout);
    for (int i = 0; i < n; i++) {
        struct conn *c = got[i].data.ptr;
        if (c == &s_pipe && got[i].events & EPOLLOUT)
            send_out(c);
        else if (c == &s_pipe)
            read_pipe();
        else if (c->fd >= 0) {
            if (got[i].events & EPOLLOUT)
                send_out(c);
            if (c->fd >= 0 && got[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_http(c);
        }
    }
}

static void rest(int ms)
{
    for (double end = now_us() + ms * 1e3, left; (left = end - now_us()) > 0;)
        pump((int)(left / 1e3) + 1);
}

// One message that matters for itself: waits for its answer, or for its acceptance.
static void control(const char *method, int session, const char *json)
{
    s_control_done = false;
    *s_control_answer = 0;
    if (s_is_http) {
        request(&s_control, method, session, json, json ? strlen(json) : 0);
    } else if (json) {
        buf_text(&s_pipe.out, json);
        buf_add(&s_pipe.out, "\n", 1);
        send_out(&s_pipe);
        if (!strstr(json, "\"id\""))
            return;
    }
    while (!s_control_done)
        pump(-1);
}

static void initialize(int session)
{
    *s_sessions[MAX_SESSIONS - 1].id = 0;
    control("POST", -1, "{\"jsonrpc\":\"2.0\",\"id\":\"c\",\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},"
        "\"clientInfo\":{\"name\":\"load\",\"version\":\"1.0.0\"}}}");
    if (!strstr(s_control_answer, "\"serverInfo\""))
        fail("initialize: %.120s", s_control_answer);
    s_sessions[session] = s_sessions[MAX_SESSIONS - 1];
}

static void initialized(int session) { control("POST", session, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"); }

// A call of `size` bytes in all, or as near as it gets.
static void call_as(int index, uint64_t id, int session, int size, int delay, int progress, const char *mark)
{
    struct slot *slot = &s_slots[index];
    char head[512];
    int n = snprintf(head, sizeof head, "{\"jsonrpc\":\"2.0\",\"id\":%lu,\"method\":\"tools/call\",\"params\":{", id);
    if (progress)
        n += snprintf(head + n, sizeof head - n, "\"_meta\":{\"progressToken\":%lu},", id);
    n += snprintf(head + n, sizeof head - n, "\"name\":\"echo\",\"arguments\":{");
    if (delay)
        n += snprintf(head + n, sizeof head - n, "\"delay\":%d,", delay);
    if (progress)
        n += snprintf(head + n, sizeof head - n, "\"progress\":%d,", progress);
    n += snprintf(head + n, sizeof head - n, "\"text\":\"%s", mark);
    static const char tail[] = "\"}}}";
    int fill = size - n - (int)sizeof tail + 1;
    fill = fill < 0 ? 0 : fill;
    slot->id = id;
    slot->is_busy = true;
    slot->is_answered = false;
    slot->session = session;
    slot->size = fill;
    struct conn *c = s_is_http ? &s_conns[index] : &s_pipe;
    if (s_is_http) {
        reach(c);
        const char *s = s_sessions[session].id;
        buf_format(&c->out, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n%s%s%sContent-Length: %d\r\n\r\n",
            s_port, *s ? "Mcp-Session-Id: " : "", s, *s ? "\r\nMCP-Protocol-Version: 2025-06-18\r\n" : "", n + fill + (int)sizeof tail - 1);
    }
    buf_add(&c->out, head, n);
    buf_add(&c->out, s_filler, fill);
    buf_add(&c->out, tail, sizeof tail - 1);
    if (!s_is_http)
        buf_add(&c->out, "\n", 1);
    slot->sent = now_us();
    // The last of several on the pipe is written together with those before it: see flush_calls.
    if (s_is_http)
        send_out(c);
}

static void call(int index, int session, int size, int delay, int progress)
{
    call_as(index, ++s_last_id * ID_STEP + index, session, size, delay, progress, "");
}

static void flush_calls(void)
{
    if (!s_is_http && buf_size(&s_pipe.out))
        send_out(&s_pipe);
}

// Keeps so many in flight until `count` were answered or `ms` have passed; returns how many were answered in that time.
static long load(int in_flight, long count, double ms, int size, int delay)
{
    double end = ms > 0 ? now_us() + ms * 1e3 : 0;
    long sent = 0, done = 0, in_time = 0;
    int session = 0;
    s_completed = 0;
    for (int i = 0; i < in_flight && (count == 0 || sent < count); i++, sent++) {
        call(i, session, size, delay, 0);
        session = (session + 1) % s_sessions_wanted;
    }
    flush_calls();
    while (done < sent) {
        pump(-1);
        bool more = end > 0 ? now_us() < end : true;
        done += s_completed;
        s_completed = 0;
        if (more)
            in_time = done;
        for (int i = 0; i < in_flight && more && (count == 0 || sent < count); i++) {
            if (!s_slots[i].is_busy) {
                call(i, session, size, delay, 0);
                session = (session + 1) % s_sessions_wanted;
                sent++;
            }
        }
        flush_calls();
    }
    return end > 0 ? in_time : done;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// One after the other; returns how many, sorted.
static int sequence(double *samples, int max, double ms, int size)
{
    int count = 0;
    for (double end = now_us() + ms * 1e3; count < max && now_us() < end; count++) {
        call(0, 0, size, 0, 0);
        flush_calls();
        while (s_slots[0].is_busy)
            pump(-1);
        samples[count] = s_slots[0].answered - s_slots[0].sent;
    }
    qsort(samples, count, sizeof *samples, by_value);
    return count;
}

// ---- The program

static void child_setup(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < s_environment_count; i++)
        putenv(s_environment[i]);
}

static int start_echo(bool is_tls)
{
    int out[2];
    if (pipe2(out, O_CLOEXEC))
        fail("no pipe");
    s_echo = fork();
    if (s_echo == 0) {
        child_setup();
        dup2(out[1], 1);
        if (is_tls)
            execl(s_server, s_server, "https", "0", s_certificate, s_key, NULL);
        else
            execl(s_server, s_server, "http", "0", NULL);
        _exit(127);
    }
    close(out[1]);
    char text[16] = "";
    if (read(out[0], text, sizeof text - 1) <= 0)
        fail("the echo server did not start");
    close(out[0]);
    return atoi(text);
}

static int free_port(void)
{
    int port = 0, fd = listen_on(&port);
    close(fd);
    return port;
}

static char *replaced(char *word, const char *name, const char *value)
{
    char *found = strstr(word, name);
    if (!found)
        return word;
    char *result = NULL;
    if (asprintf(&result, "%.*s%s%s", (int)(found - word), word, value, found + strlen(name)) < 0)
        fail("out of memory");
    return result;
}

// Starts what is measured; returns the moment before it was started.
static double start(void)
{
    bool needs_echo = !s_command, is_tls = false;
    for (char **word = s_command; word && *word; word++) {
        is_tls |= strstr(*word, "{tlsurl}") != NULL;
        needs_echo |= strstr(*word, "{url}") || strstr(*word, "{echoport}") || is_tls;
    }
    int echo = needs_echo ? start_echo(is_tls) : 0;
    char url[64], tls[64], port[16], echo_port[16];
    s_port = s_command ? free_port() : echo;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", echo);
    snprintf(tls, sizeof tls, "https://localhost:%d/mcp", echo);
    snprintf(port, sizeof port, "%d", s_port);
    snprintf(echo_port, sizeof echo_port, "%d", echo);
    for (char **word = s_command; word && *word; word++)
        *word = replaced(replaced(replaced(replaced(replaced(*word, "{url}", url), "{tlsurl}", tls), "{port}", port), "{echoport}", echo_port), "{server}", s_server);
    s_poll = epoll_create1(EPOLL_CLOEXEC);
    double started = now_us();
    if (s_command) {
        int to[2], from[2];
        if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
            fail("no pipe");
        s_program = fork();
        if (s_program == 0) {
            child_setup();
            dup2(to[0], 0);
            int log = open(s_log, O_WRONLY | O_CREAT | O_APPEND, 0600);
            dup2(s_is_http ? log : from[1], 1);
            dup2(log, 2);
            execvp(s_command[0], s_command);
            _exit(127);
        }
        close(to[0]);
        close(from[1]);
        // Kept open either way: some programs end with their input.
        dup3(to[1], 1000, O_CLOEXEC);
        close(to[1]);
        if (!s_is_http) {
            s_pipe.fd = from[0];
            set_nonblocking(from[0]);
            set_nonblocking(1000);
            struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s_pipe};
            epoll_ctl(s_poll, EPOLL_CTL_ADD, from[0], &e);
            e.events = 0;
            epoll_ctl(s_poll, EPOLL_CTL_ADD, 1000, &e);
        }
    }

    if (s_is_http) {
        for (int i = 0; i < MAX_IN_FLIGHT; i++)
            s_conns[i] = (struct conn){.fd = -1, .slot = i};
        while ((s_control.fd = connect_to(s_port)) < 0) {
            if (s_program && waitpid(s_program, NULL, WNOHANG) == s_program)
                fail("the program ended before it served");
            usleep(100);
        }
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s_control};
        epoll_ctl(s_poll, EPOLL_CTL_ADD, s_control.fd, &e);
    }
    return started;
}

// Milliseconds until the program is gone.
static double wait_for_end(double since)
{
    int fd = (int)syscall(SYS_pidfd_open, s_program, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd < 0 || poll(&p, 1, 15000) != 1)
        fail("the program did not end within 15 s");
    double ms = (now_us() - since) / 1e3;
    waitpid(s_program, NULL, 0);
    return ms;
}

static double end_program(void)
{
    double since = now_us();
    if (s_is_http)
        kill(s_program, SIGTERM);
    else
        close(1000);
    return wait_for_end(since);
}

static void open_sessions(void)
{
    for (int i = 0; i < s_sessions_wanted; i++) {
        initialize(i);
        initialized(i);
    }
}

static struct conn *s_streams;

static void open_streams(int from, int count)
{
    for (int i = from; i < from + count; i++) {
        struct conn *c = &s_streams[i];
        *c = (struct conn){.fd = -1, .slot = -1, .is_stream = true};
        request(c, "GET", i, NULL, 0);
        // Some send the headers with the first event only.
        for (double end = now_us() + 50e3; !c->is_open && now_us() < end;)
            pump(5);
    }
}

static void close_sessions(int from, int count)
{
    for (int i = from; i < from + count; i++) {
        control("DELETE", i, NULL);
        drop(&s_streams[i]);
    }
}

// ---- Scenarios

static void run_start(void)
{
    double started = start();
    initialize(0);
    double ms = (now_us() - started) / 1e3;
    if (!s_program)
        finish("\"start_ms\":%.3f", ms);
    initialized(0);
    rest(700);
    struct memory m = memory();
    finish("\"start_ms\":%.3f,\"rss_kb\":%ld,\"pss_kb\":%ld,\"private_kb\":%ld,\"end_ms\":%.3f", ms, m.rss, m.pss, m.private, end_program());
}

static void run_soak(void)
{
    int count = s_count ? s_count : 10000;
    start();
    open_sessions();
    rest(500);
    struct memory before = memory();
    load(16, count, 0, 200, 0);
    rest(1000);
    struct memory after = memory();
    double cpu[2], all[2];
    processor(&cpu[0], &all[0]);
    load(16, count, 0, 200, 0);
    processor(&cpu[1], &all[1]);
    double scale = 10000.0 / count;
    finish("\"rss_start_kb\":%ld,\"rss_kb\":%ld,\"pss_kb\":%ld,\"private_kb\":%ld,\"peak_kb\":%ld,\"cpu_ms\":%.2f,\"cpu_tree_ms\":%.2f",
        before.rss, after.rss, after.pss, after.private, after.peak, (cpu[1] - cpu[0]) * scale, (all[1] - all[0]) * scale);
}

static void run_growth(void)
{
    int count = s_count ? s_count : 100000;
    start();
    open_sessions();
    // Until the heap has found its size.
    load(16, 50000, 0, 200, 0);
    rest(1500);
    struct memory before = memory();
    load(16, count, 0, 200, 0);
    rest(1500);
    struct memory after = memory();
    finish("\"before_kb\":%ld,\"after_kb\":%ld,\"bytes_per_message\":%.3f", before.private, after.private, (after.private - before.private) * 1024.0 / count);
}

static void run_latency(int size)
{
    static double s_samples[20000];
    start();
    open_sessions();
    sequence(s_samples, size > 10000 ? 5 : 1000, s_ms, size);
    int count = sequence(s_samples, size > 10000 ? 40 : 5000, s_ms, size);
    if (count == 0)
        fail("nothing was answered in time");
    finish("\"p50_us\":%.2f,\"p99_us\":%.2f,\"count\":%d", s_samples[count / 2], s_samples[count * 99 / 100], count);
}

// One after the other, and out: for a counter of instructions, which looks at the whole life of the program.
static void run_sequence(void)
{
    static double s_samples[20000];
    start();
    open_sessions();
    int count = sequence(s_samples, s_count, 600000, 200);
    end_program();
    finish("\"count\":%d", count);
}

static void run_throughput(void)
{
    start();
    open_sessions();
    load(64, 0, s_ms / 3, 200, 0);
    finish("\"per_second\":%.1f", load(64, 0, s_ms, 200, 0) * 1e3 / s_ms);
}

// A server that takes 20 ms for each of 64 requests in flight answers 3200 a second at best.
static void run_slow(void)
{
    const int delay = 20, count = 64 * 50;
    start();
    open_sessions();
    load(64, 64 * 10, 0, 200, delay);
    double since = now_us();
    load(64, count, 0, 200, delay);
    double rate = count / (now_us() - since) * 1e6;
    finish("\"per_second\":%.1f,\"of_ideal\":%.4f", rate, rate / (64 * 1000.0 / delay));
}

static void run_big(void)
{
    start();
    open_sessions();
    load(16, 500, 0, 200, 0);
    rest(1200);
    struct memory before = memory();
    forget_peak();
    load(16, s_count ? s_count : 160, 0, MEGABYTE, 0);
    struct memory peak = memory();
    rest(2000);
    struct memory after = memory();
    finish("\"before_kb\":%ld,\"peak_kb\":%ld,\"after_kb\":%ld", before.rss, peak.peak, after.rss);
}

static void run_sessions(void)
{
    int count = s_sessions_wanted;
    s_streams = calloc(MAX_SESSIONS, sizeof *s_streams);
    start();
    // One session, used, that stays: what it costs to serve at all is not what each costs.
    s_sessions_wanted = 1;
    initialize(0);
    initialized(0);
    load(4, 200, 0, 200, 0);
    rest(1500);
    struct memory before = memory();
    for (int i = 1; i <= count; i++) {
        initialize(i);
        initialized(i);
        open_streams(i, 1);
    }
    rest(2500);
    struct memory open = memory();
    close_sessions(1, count);
    rest(3000);
    struct memory after = memory();
    finish("\"before_kb\":%ld,\"open_kb\":%ld,\"after_kb\":%ld,\"session_kb\":%.3f,\"kept_kb\":%.3f",
        before.rss, open.rss, after.rss, (double)(open.rss - before.rss) / count, (double)(after.rss - before.rss) / count);
}

static void run_term(void)
{
    s_streams = calloc(MAX_SESSIONS, sizeof *s_streams);
    start();
    for (int i = 0; i < s_sessions_wanted; i++) {
        initialize(i);
        initialized(i);
        open_streams(i, 1);
    }
    rest(300);
    double since = now_us();
    kill(s_program, SIGTERM);
    finish("\"term_ms\":%.3f", wait_for_end(since));
}

static void run_progress(void)
{
    long least = 1000, sum = 0;
    const int rounds = 20;
    s_streams = calloc(MAX_SESSIONS, sizeof *s_streams);
    start();
    open_sessions();
    if (s_is_http)
        open_streams(0, 1);
    for (int i = 0; i < rounds; i++) {
        s_notifications = 0;
        call(0, 0, 200, 0, 50);
        flush_calls();
        while (s_slots[0].is_busy)
            pump(-1);
        // Those that overtook nothing may still come on another stream.
        for (double end = now_us() + 300e3; s_notifications < 50 && now_us() < end;)
            pump(10);
        least = s_notifications < least ? s_notifications : least;
        sum += s_notifications;
    }
    finish("\"least\":%ld,\"mean\":%.2f", least, (double)sum / rounds);
}

static void run_same_id(void)
{
    long wrong = 0;
    s_sessions_wanted = 2;
    s_checks_text = true;
    start();
    open_sessions();
    for (int i = 0; i < 200; i++) {
        char texts[2][32], heard[2][64] = {"", ""};
        for (int k = 0; k < 2; k++) {
            snprintf(texts[k], sizeof texts[k], "%c-%d-", 'a' + k, i);
            call_as(k, 7, k, 200, 1 + (i + k) % 3, 0, texts[k]);
        }
        for (bool busy = true; busy;) {
            bool was[2] = {s_slots[0].is_busy, s_slots[1].is_busy};
            *s_last_text = 0;
            struct epoll_event got[1];
            if (epoll_wait(s_poll, got, 1, -1) == 1 && ((struct conn *)got[0].data.ptr)->fd >= 0)
                read_http(got[0].data.ptr);
            for (int k = 0; k < 2; k++) {
                if (was[k] && !s_slots[k].is_busy)
                    snprintf(heard[k], sizeof heard[k], "%s", s_last_text);
            }
            busy = s_slots[0].is_busy || s_slots[1].is_busy;
        }
        for (int k = 0; k < 2; k++)
            wrong += strncmp(heard[k], texts[k], strlen(texts[k])) != 0;
    }
    finish("\"wrong\":%ld", wrong);
}

int main(int argc, char **argv)
{
    const char *scenario = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--") == 0) {
            s_command = argv + i + 1;
            break;
        }
        i++;
        if (strcmp(name, "--down") == 0)
            s_is_http = strcmp(value, "http") == 0;
        else if (strcmp(name, "--server") == 0)
            s_server = realpath(value, NULL);
        else if (strcmp(name, "--certificate") == 0)
            s_certificate = value;
        else if (strcmp(name, "--key") == 0)
            s_key = value;
        else if (strcmp(name, "--log") == 0)
            s_log = value;
        else if (strcmp(name, "--pin") == 0)
            s_pin = atoi(value);
        else if (strcmp(name, "--sessions") == 0)
            s_sessions_wanted = atoi(value);
        else if (strcmp(name, "--count") == 0)
            s_count = atoi(value);
        else if (strcmp(name, "--ms") == 0)
            s_ms = atof(value);
        else if (strcmp(name, "--timeout") == 0)
            s_timeout = atof(value);
        else if (strcmp(name, "--env") == 0 && s_environment_count < 64)
            s_environment[s_environment_count++] = (char *)value;
        else
            die("load: unknown option %s", name);
    }

    if (!s_server)
        die("load: --server is missing");
    if (s_sessions_wanted < 1 || s_sessions_wanted > MAX_SESSIONS - 2)
        die("load: --sessions must be 1 to %d", MAX_SESSIONS - 2);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm((unsigned)s_timeout);
    raise_limits();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    s_filler = malloc(MEGABYTE + 1);
    memset(s_filler, 'x', MEGABYTE);
    if (s_pin >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(s_pin, &set);
        sched_setaffinity(0, sizeof set, &set);
    }

    if (strcmp(scenario, "start") == 0)
        run_start();
    else if (strcmp(scenario, "sequence") == 0)
        run_sequence();
    else if (strcmp(scenario, "soak") == 0)
        run_soak();
    else if (strcmp(scenario, "growth") == 0)
        run_growth();
    else if (strcmp(scenario, "latency") == 0)
        run_latency(200);
    else if (strcmp(scenario, "latency-1m") == 0)
        run_latency(MEGABYTE);
    else if (strcmp(scenario, "throughput") == 0)
        run_throughput();
    else if (strcmp(scenario, "slow") == 0)
        run_slow();
    else if (strcmp(scenario, "big") == 0)
        run_big();
    else if (strcmp(scenario, "sessions") == 0)
        run_sessions();
    else if (strcmp(scenario, "term") == 0)
        run_term();
    else if (strcmp(scenario, "progress") == 0)
        run_progress();
    else if (strcmp(scenario, "same-id") == 0)
        run_same_id();
    else
        die("load: unknown scenario \"%s\"", scenario);
}
