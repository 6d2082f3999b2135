// Sets off the wall clock of a process into which it is loaded (LD_PRELOAD), while it runs: by as many seconds as
// stand in the file that CLOCK_OFFSET_FILE names, or by none where there is no such file.
//
// Clocks that only go forward are left alone. What a process waits for until a time of the shifted clock, the kernel
// is asked for in its own time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// So often, by the clock that only goes forward, the file is looked at.
#define LOOK_EVERY_NS 20000000L
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

static struct timespec true_time(const struct timespec *shifted) {
  struct timespec time = *shifted;
  if (time.tv_sec > WALL_CLOCK_MIN_S) time.tv_sec -= offset();
  return time;
}

// An older form of this function has the same name; the version says which one is meant.
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  struct timespec time = true_time(until);
  return real(condition, mutex, &time);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  static int (*real)(sem_t *, const struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
  struct timespec time = true_time(until);
  return real(semaphore, &time);
}
