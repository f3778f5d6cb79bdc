/* A storage that fails on purpose, for tests only: LD_PRELOAD this in front of libc.
 *
 * COUNTERSIGN_FAULT       op:n:action[,...]; op is write, pwrite, fsync, fdatasync, sync (both) or rename; n is the
 *                         call that fails, counted from 1 per op, with a + for "and every later one"; action is a
 *                         number (that errno), short (half of the bytes), abort, exit, or delay=MS.
 * COUNTERSIGN_FAULT_PATH  only files whose path contains this count.
 * COUNTERSIGN_FAULT_ARM   nothing fails or counts until this file exists.
 * COUNTERSIGN_FAULT_LOG   one line per counted call is appended here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PASS, SHORT };

static atomic_long counts[4];
static const char *names[4] = {"write", "pwrite", "fsync", "fdatasync"};
static atomic_long renames;

static int relevant(const char *path) {
    const char *want = getenv("COUNTERSIGN_FAULT_PATH");
    const char *arm = getenv("COUNTERSIGN_FAULT_ARM");
    if (want && !strstr(path, want)) return 0;
    return !arm || access(arm, F_OK) == 0;
}

static int relevant_fd(int fd) {
    char link[64], path[PATH_MAX + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    return relevant(path);
}

static void note(const char *op, long n, long fd, long length, long offset) {
    const char *log = getenv("COUNTERSIGN_FAULT_LOG");
    if (!log) return;
    char line[160];
    int size = snprintf(line, sizeof line, "%s %ld fd=%ld len=%ld off=%ld\n", op, n, fd, length, offset);
    int out = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (out < 0) return;
    syscall(SYS_write, out, line, (size_t)size);
    close(out);
}

/* 0: go on; SHORT: write half; -1: errno is set. */
static int act(const char *op, long n) {
    const char *plan = getenv("COUNTERSIGN_FAULT");
    while (plan && *plan) {
        char name[16] = {0}, action[32] = {0};
        long at = 0;
        char plus = 0;
        int fields = sscanf(plan, "%15[a-z]:%ld%c", name, &at, &plus);
        const char *tail = strchr(plan, ':');
        tail = tail ? strchr(tail + 1, ':') : NULL;
        if (fields >= 2 && tail) sscanf(tail + 1, "%31[^,]", action);
        int same = !strcmp(name, op) || (!strcmp(name, "sync") && strstr(op, "sync"));
        if (same && (n == at || (plus == '+' && n > at))) {
            if (!strcmp(action, "abort")) abort();
            if (!strcmp(action, "exit")) _exit(86);
            if (!strcmp(action, "short")) return SHORT;
            if (!strncmp(action, "delay=", 6)) {
                long ms = atol(action + 6);
                struct timespec wait = {ms / 1000, (ms % 1000) * 1000000};
                nanosleep(&wait, NULL);
                return PASS;
            }
            errno = atoi(action);
            return -1;
        }
        plan = strchr(plan, ',');
        if (plan) plan++;
    }
    return PASS;
}

static int before(int op, int fd, long length, long offset) {
    int kept = errno;
    if (!relevant_fd(fd)) { errno = kept; return PASS; }
    long n = ++counts[op];
    note(names[op], n, fd, length, offset);
    int what = act(names[op], n);
    if (what >= 0) errno = kept;
    return what;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    int what = before(0, fd, (long)length, -1);
    if (what < 0) return -1;
    return syscall(SYS_write, fd, bytes, what == SHORT ? length / 2 : length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    int what = before(1, fd, (long)length, (long)offset);
    if (what < 0) return -1;
    return syscall(SYS_pwrite64, fd, bytes, what == SHORT ? length / 2 : length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

int fsync(int fd) {
    if (before(2, fd, 0, 0) < 0) return -1;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    if (before(3, fd, 0, 0) < 0) return -1;
    return (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to) {
    if (relevant(from) || relevant(to)) {
        long n = ++renames;
        note("rename", n, -1, 0, 0);
        if (act("rename", n) < 0) return -1;
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
