// Sets off the wall clock of a process into which it is loaded (LD_PRELOAD), while it runs: by as many seconds as
// stand in the file that CLOCK_OFFSET_FILE names, or by none where there is no such file.
//
// Clocks that only go forward are left alone. Waits until a time of the wall clock end by the shifted one, also if it
// is set off meanwhile: sooner if it is put forward, later if it is put back, as with a clock that really jumps.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

// So often, by the clock that only goes forward, the file is looked at.
#define LOOK_EVERY_NS 20000000L
// So often, the offset is taken into account by those who wait.
#define SLICE_NS 50000000L
// Times of the wall clock are beyond it; times since the machine began are not.
#define WALL_CLOCK_MIN_S 1000000000L

static _Atomic long offset_s, looked_at_ns;

static long offset(void) {
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  long now_ns = now.tv_sec * 1000000000L + now.tv_nsec;
  if (now_ns - looked_at_ns < LOOK_EVERY_NS) return offset_s;
  looked_at_ns = now_ns;
  const char *path = getenv("CLOCK_OFFSET_FILE");
  char text[32] = "";
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length < 0) return offset_s;
  }
  return offset_s = strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int failed = syscall(SYS_clock_gettime, clock, time);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
  return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  int failed = syscall(SYS_gettimeofday, time, zone);
  if (!failed) time->tv_sec += offset();
  return failed;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
  return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, time) ? base : 0;
}

static int is_over(const struct timespec *until) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

// A little later, as the kernel sees it: it would end a wait when its clock is set, and so it is looked at often.
static struct timespec soon(void) {
  struct timespec time;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &time);
  time.tv_nsec += SLICE_NS;
  if (time.tv_nsec >= 1000000000L) time.tv_sec += 1, time.tv_nsec -= 1000000000L;
  return time;
}

typedef int Wait(void *condition, void *mutex, const struct timespec *until);

// Waits for a condition end now and then without a reason, by the standard; who waits looks whether there is one.
static int wait_shifted(Wait *wait, void *condition, void *mutex, const struct timespec *until, int timed_out) {
  if (until->tv_sec < WALL_CLOCK_MIN_S) return wait(condition, mutex, until);
  if (is_over(until)) return timed_out;
  struct timespec slice = soon();
  int result = wait(condition, mutex, &slice);
  if (result != timed_out) return result;
  return is_over(until) ? timed_out : 0;
}

// An older form of this function has the same name; the version says which one is meant.
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  static Wait *wait;
  if (!wait) wait = (Wait *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  return wait_shifted(wait, condition, mutex, until, ETIMEDOUT);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
  static Wait *wait;
  if (!wait) wait = (Wait *)dlsym(RTLD_NEXT, "cnd_timedwait");
  return wait_shifted(wait, condition, mutex, until, thrd_timedout);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  static int (*wait)(sem_t *, const struct timespec *);
  if (!wait) wait = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
  for (;;) {
    struct timespec slice = soon();
    int failed = wait(semaphore, &slice);
    if (!failed || errno != ETIMEDOUT || is_over(until)) return failed;
  }
}
