/* A disk that is watched, for tests only: LD_PRELOAD this in front of libc.
 *
 * COUNTERSIGN_DISK_DIR        what happens to files below this directory is counted and recorded.
 * COUNTERSIGN_DISK_LOG        every change that was made is appended here, with its bytes, in the order of its making:
 *                             op (1 byte), length of path (u16), path, number (u64), length (u32), bytes; native order.
 *                             W write at number, T truncate to number, S file synced, E sync failed, C created,
 *                             R renamed (bytes: new path), U unlinked, D directory synced.
 * COUNTERSIGN_DISK_STOP       the process kills itself before the n-th counted call ...
 * COUNTERSIGN_DISK_TORN       ... and if that is a write, does half of it first.
 * COUNTERSIGN_DISK_DEAF       syncs of files whose path ends with this are answered, and not done.
 * COUNTERSIGN_DISK_FAIL       the n-th sync of a file fails with EIO; with a + also every later one.
 * COUNTERSIGN_DISK_FAIL_FILE  and only syncs of files whose path ends with this count for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls, syncs;
static int out = -1;

static int ends(const char *path, const char *tail) {
    size_t a = strlen(path), b = tail ? strlen(tail) : 0;
    return tail && a >= b && !strcmp(path + a - b, tail);
}

static int inside(const char *path) {
    const char *dir = getenv("COUNTERSIGN_DISK_DIR");
    /* Shared memory beside the database is worth nothing after a crash. */
    return dir && !strncmp(path, dir, strlen(dir)) && !ends(path, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

static void full(const char *path, char *absolute) {
    if (path[0] == '/') { snprintf(absolute, PATH_MAX, "%s", path); return; }
    char cwd[PATH_MAX / 2];
    if (!getcwd(cwd, sizeof cwd)) cwd[0] = 0;
    snprintf(absolute, PATH_MAX, "%s/%s", cwd, path);
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = syscall(SYS_write, out, at, length);
        if (n <= 0) abort();
        at += n;
        length -= (size_t)n;
    }
}

static void record(char op, const char *path, uint64_t number, const void *bytes, uint32_t length) {
    const char *log = getenv("COUNTERSIGN_DISK_LOG");
    if (!log) return;
    if (out < 0) out = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (out < 0) abort();
    uint16_t size = (uint16_t)strlen(path);
    put(&op, 1);
    put(&size, 2);
    put(path, size);
    put(&number, 8);
    put(&length, 4);
    put(bytes, length);
}

static int stops(void) {
    const char *at = getenv("COUNTERSIGN_DISK_STOP");
    return ++calls == (at ? atol(at) : -1);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static ssize_t put_at(int fd, const void *bytes, size_t length, off64_t offset, int moves) {
    char path[PATH_MAX + 1];
    int kept = errno;
    if (!path_of(fd, path)) {
        errno = kept;
        return moves ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
    }
    pthread_mutex_lock(&lock);
    int appends = moves && (fcntl(fd, F_GETFL) & O_APPEND);
    if (moves) offset = lseek64(fd, 0, appends ? SEEK_END : SEEK_CUR);
    if (stops()) {
        if (getenv("COUNTERSIGN_DISK_TORN")) syscall(SYS_pwrite64, fd, bytes, length / 2, offset);
        die();
    }
    errno = kept;
    ssize_t n = moves ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (n > 0) record('W', path, (uint64_t)offset, bytes, (uint32_t)n);
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t write(int fd, const void *bytes, size_t length) { return put_at(fd, bytes, length, 0, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return put_at(fd, bytes, length, at, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return put_at(fd, bytes, length, at, 0); }

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX + 1];
    if (!path_of(fd, path)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    if (stops()) die();
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (!done) record('T', path, (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int fails(const char *path) {
    const char *at = getenv("COUNTERSIGN_DISK_FAIL"), *file = getenv("COUNTERSIGN_DISK_FAIL_FILE");
    if (!at || (file && !ends(path, file))) return 0;
    long n = ++syncs, first = atol(at);
    return n == first || (strchr(at, '+') && n > first);
}

static int sync_of(int fd, long call) {
    char path[PATH_MAX + 1];
    struct stat about;
    if (!path_of(fd, path)) return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    if (stops()) die();
    int directory = !fstat(fd, &about) && S_ISDIR(about.st_mode), done = 0, why = EIO;
    if (!directory && getenv("COUNTERSIGN_DISK_DEAF") && ends(path, getenv("COUNTERSIGN_DISK_DEAF"))) {
        /* Answered, and not done. */
    } else if (!directory && fails(path)) {
        done = -1;
        record('E', path, 0, "", 0);
    } else {
        done = (int)syscall(call, fd);
        why = errno;
        if (!done) record(directory ? 'D' : 'S', path, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    if (done) errno = why;
    return done;
}

int fsync(int fd) { return sync_of(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_of(fd, SYS_fdatasync); }

static int open_at(int dir, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX + 1];
    full(path, absolute);
    if (!inside(absolute) || !(flags & (O_CREAT | O_TRUNC))) return (int)syscall(SYS_openat, dir, path, flags, mode);
    pthread_mutex_lock(&lock);
    int kept = errno, fresh = access(absolute, F_OK) != 0;
    errno = kept;
    if (fresh && stops()) die();
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && fresh) record('C', absolute, 0, "", 0);
    if (fd >= 0 && !fresh && (flags & O_TRUNC)) record('T', absolute, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                              \
    int name(const char *path, int flags, ...) {                \
        mode_t mode = 0;                                        \
        if (flags & (O_CREAT | O_TMPFILE)) {                    \
            va_list more;                                       \
            va_start(more, flags);                              \
            mode = va_arg(more, mode_t);                        \
            va_end(more);                                       \
        }                                                       \
        return open_at(AT_FDCWD, path, flags, mode);            \
    }
OPEN(open)
OPEN(open64)

int rename(const char *from, const char *to) {
    char a[PATH_MAX + 1], b[PATH_MAX + 1];
    full(from, a);
    full(to, b);
    if (!inside(a)) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    if (stops()) die();
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!done) record('R', a, 0, b, (uint32_t)strlen(b));
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    char absolute[PATH_MAX + 1];
    full(path, absolute);
    if (!inside(absolute)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    if (stops()) die();
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!done) record('U', absolute, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}
