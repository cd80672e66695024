/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key goes to the line that is edited, or to the guest whose console is shown. All output goes through the log
 * (log_raw), which keeps the prompt below its own lines. Without a token, where one is asked for, the line is one, and
 * is not shown.
 */
#define LOG_PREFIX "monitor"
#include "control/monitor.h"

#include <string.h>

#include "control/command.h"
#include "control/json.h"
#include "control/text.h"
#include "dev/platform.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/serial.h"
#include "host/log.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "tls/wipe.h"

#define PROMPT "godwit> "
#define TOKEN_PROMPT "token: "
#define IDLE_NS (600 * NS_PER_S) /* without a key: then the next one is asked for a token */
#define DEAF_NS NS_PER_S         /* after a wrong token nobody is heard for so long */
#define CONSOLE_NS 20000000ULL   /* between two looks for output of the guest whose console is shown */
#define POLL_NS NS_PER_MS        /* between two looks for input, where the port can't interrupt */
#define CTRL_C 0x03
#define CTRL_D 0x04
#define CTRL_U 0x15
#define BACKSPACE 0x08
#define DELETE 0x7F
#define ESCAPE_KEY 0x1D /* Ctrl-] */

static struct {
    char line[COMMAND_LINE];
    size_t len;
    bool awake;         /* there is a prompt; false before the first key */
    bool skip_newline;  /* the last byte was CR: an LF right after it means nothing */
    u32 console;        /* id of the VM to whose console we are attached, and which may leave any time; 0: to none */
    u64 offset;         /* bytes of the console's output shown so far */
    bool polls;         /* the port can't interrupt */
    bool by_token;      /* the person is asked for one */
    bool locked;        /* and has not given it */
    u64 deaf_until;     /* ns: what is typed before is thrown away */
    u64 heard;          /* ns: when the last key was typed */
    struct token token; /* that was given, or what stands for it where none is asked for */
} monitor;

struct output {
    char line[160];
    size_t len;
};

static void say(const char *text)
{
    log_raw(text, strlen(text));
}

/* A command's output, passed on in whole lines, so that the log's lines fall between them. */
static void put(void *ctx, const char *bytes, size_t len)
{
    struct output *out = ctx;

    for (size_t i = 0; i < len; i++) {
        out->line[out->len++] = bytes[i];
        if (bytes[i] == '\n' || out->len == sizeof(out->line)) {
            log_raw(out->line, out->len);
            out->len = 0;
        }
    }
}

static void show_prompt(void)
{
    say(monitor.locked ? "\r" TOKEN_PROMPT : "\r" PROMPT);
    if (!monitor.locked)
        log_raw(monitor.line, monitor.len);
    log_prompt(true);
}

static void attach(struct vm *vm)
{
    monitor.console = vm->id;
    monitor.offset = 0;
    say("connected to ");
    say(vm->name);
    say("; Ctrl-] leaves\n");
}

/* The VM whose console is shown; NULL: it has moved away. */
static struct vm *console_vm(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm->id == monitor.console)
            return vm;
    }
    return NULL;
}

static void detach(void)
{
    monitor.console = 0;
    say("\ndisconnected\n");
    show_prompt();
}

/* The line was typed for a token. */
static void try_token(void)
{
    const struct token *token = tokens_find(monitor.line);

    wipe(monitor.line, sizeof(monitor.line));
    monitor.locked = !token;
    if (!token) {
        monitor.deaf_until = clock_ns() + DEAF_NS;
        say("error: that is no token of this hypervisor\n");
        return;
    }
    monitor.token = *token;
    pr_info("%s, %s; Ctrl-D leaves", token->name, token_role_name(token->role));
}

static void run_line(void)
{
    struct call call = { .file = NULL };
    struct json out;
    int err;

    monitor.line[monitor.len] = '\0';
    monitor.len = 0;
    log_prompt(false);
    say("\n");
    if (monitor.locked) {
        try_token();
    } else if (monitor.line[strspn(monitor.line, " \t")] != '\0') {
        json_init(&out);
        err = command_line(&call, monitor.token.role, monitor.line, &out);
        if (err) {
            say("error: ");
            say(call.error);
            say("\n");
        } else if (call.command->attach) {
            attach(call.arg[0].vm);
        } else {
            text_render(out.buffer.text, put, &(struct output){ .len = 0 });
        }
        json_fini(&out);
    }
    if (!monitor.console)
        show_prompt();
}

static void rub_out(void)
{
    if (monitor.len == 0)
        return;
    monitor.line[--monitor.len] = '\0';
    if (!monitor.locked)
        say("\b \b");
}

static void type(char c)
{
    if (c < ' ' || c == DELETE || monitor.len + 1 >= sizeof(monitor.line)) {
        say("\a");
        return;
    }
    monitor.line[monitor.len++] = c;
    if (!monitor.locked)
        log_raw(&c, 1);
}

/* It may be the beginning of a token. */
static void forget_line(void)
{
    wipe(monitor.line, sizeof(monitor.line));
    monitor.len = 0;
}

/* The next one is asked for a token again. */
static void lock(void)
{
    forget_line();
    monitor.locked = monitor.by_token;
    say("\n");
    show_prompt();
}

static void key(char c)
{
    bool after_cr = monitor.skip_newline;

    monitor.skip_newline = c == '\r';
    if (c == '\n' && after_cr)
        return;
    switch (c) {
    case '\r':
    case '\n': run_line(); break;
    case BACKSPACE:
    case DELETE: rub_out(); break;
    case CTRL_U:
        while (monitor.len > 0)
            rub_out();
        break;
    case CTRL_C:
        forget_line();
        say("^C\n");
        show_prompt();
        break;
    case CTRL_D: lock(); break;
    default: type(c); break;
    }
}

/* Pass a byte to the guest. A byte for which the guest has no room is lost, as on a real line. A guest that cannot be
 * typed to is left. */
static void console_key(struct vm *vm, char c)
{
    struct call call = { .command = command_find("console") };

    if (c != ESCAPE_KEY && !command_check(&call, vm)) {
        platform_console_write(vm, &c, 1);
        return;
    }
    if (c != ESCAPE_KEY) {
        say("\nerror: ");
        say(call.error);
    }
    detach();
}

static void console_show(struct vm *vm)
{
    char bytes[256];
    size_t len;

    do {
        len = platform_console_read(vm, &monitor.offset, bytes, sizeof(bytes));
        log_raw(bytes, len);
    } while (len == sizeof(bytes));
}

/* Has the person gone without a word, or does the token count no more? */
static bool abandoned(void)
{
    return monitor.by_token && !monitor.locked &&
           (clock_ns() - monitor.heard >= IDLE_NS || !tokens_have(&monitor.token));
}

static void log_out(void)
{
    pr_info("%s is logged out", monitor.token.name);
    if (monitor.console)
        say("\ndisconnected");
    monitor.console = 0;
    lock();
    log_hold(false);
}

/* Host TSC of the next look for what no key tells. */
static u64 next_look(void)
{
    if (monitor.polls || monitor.console)
        return rdtsc() + clock_ns_to_ticks(monitor.polls ? POLL_NS : CONSOLE_NS);
    if (!monitor.by_token || monitor.locked)
        return ~0ULL;
    return rdtsc() + clock_ns_to_ticks(monitor.heard + IDLE_NS - clock_ns());
}

/* Act on a typed byte. The log is held back, so that its lines don't fall into ours; while a console is shown it stays
 * held. */
static void keys(int byte)
{
    log_hold(true);
    monitor.heard = clock_ns();
    for (; byte >= 0; byte = serial_read()) {
        if (clock_ns() < monitor.deaf_until)
            continue;
        if (monitor.console) {
            console_key(console_vm(), (char)byte);
            continue;
        }
        if (!log_prompt_shown())
            show_prompt();
        key((char)byte);
    }
    monitor.awake = true;
    log_hold(monitor.console != 0);
}

static u64 monitor_poll(void)
{
    int byte = serial_read();

    if (abandoned())
        log_out();
    if (monitor.console && !console_vm()) {
        say("\nit is not here any more");
        detach();
        log_hold(false);
    }
    if (byte >= 0)
        keys(byte); /* no command frees a VM here: other host work does that */
    if (monitor.console)
        console_show(console_vm());
    else if (monitor.awake && !log_prompt_shown() && log_quiet())
        show_prompt();
    return next_look();
}

void monitor_init(bool by_token)
{
    monitor.by_token = monitor.locked = by_token;
    monitor.token.role = TOKEN_ADMIN;
    monitor.polls = !serial_interrupt_on();
    host_work_add(monitor_poll);
    pr_info("press Enter for a prompt");
}
