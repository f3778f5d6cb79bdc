/* A wall clock that can be set for one process, for tests only: LD_PRELOAD this in front of libc.
 *
 * COUNTERSIGN_CLOCK_OFFSET    a file with one number: seconds that are added to the true time; read at each look.
 *
 * Only CLOCK_REALTIME is faked. The clocks that nobody can set go on as they do.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset_s(void)
{
	const char *path = getenv("COUNTERSIGN_CLOCK_OFFSET");
	char text[32] = "";
	int file;

	if (!path || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return 0;
	if (read(file, text, sizeof text - 1) < 0)
		text[0] = 0;
	close(file);
	return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = syscall(SYS_clock_gettime, clock, now);

	if (!failed && clock == CLOCK_REALTIME)
		now->tv_sec += offset_s();
	return failed;
}

time_t time(time_t *seconds)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	if (seconds)
		*seconds = now.tv_sec;
	return now.tv_sec;
}
