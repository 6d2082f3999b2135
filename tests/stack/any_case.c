// Lets a process into which it is loaded (LD_PRELOAD) find files in whatever case it asks for them, as the file systems of
// Windows and macOS do: below the folder that ANY_CASE_FOLDER names, and by relative paths, all names are in lower case.
//
// MySQL refuses lower_case_table_names=2 where two files may have names that differ in case only. The functions are those
// that mysqld 8.0 is linked with (`nm -D mysqld`).
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef char Path[PATH_MAX];

// A path that is too long is left as it is, for the system to refuse.
static const char *lowered(const char *path, char *into) {
  const char *folder = getenv("ANY_CASE_FOLDER");
  size_t kept = folder ? strlen(folder) : 0;
  if (!folder || !path || strlen(path) >= PATH_MAX) return path;
  if (path[0] != '/') kept = 0;
  else if (strncmp(path, folder, kept) || path[kept] != '/') return path;
  strcpy(into, path);
  for (char *c = into + kept; *c; c++) *c = tolower((unsigned char)*c);
  return into;
}

#define REAL(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

// Functions of a path and one argument more, or none.
#define OF_PATH(result, name) \
  result name(const char *path) { \
    Path p; \
    return REAL(result, name, const char *)(lowered(path, p)); \
  }
#define OF_PATH_AND(result, name, type) \
  result name(const char *path, type with) { \
    Path p; \
    return REAL(result, name, const char *, type)(lowered(path, p), with); \
  }
#define OF_TWO_PATHS(name) \
  int name(const char *from, const char *to) { \
    Path f, t; \
    return REAL(int, name, const char *, const char *)(lowered(from, f), lowered(to, t)); \
  }
#define OF_STAT(name) \
  int name(int version, const char *path, struct stat64 *found) { \
    Path p; \
    return REAL(int, name, int, const char *, struct stat64 *)(version, lowered(path, p), found); \
  }
#define OF_OPEN(name) \
  int name(const char *path, int flags, ...) { \
    Path p; \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return REAL(int, name, const char *, int, ...)(lowered(path, p), flags, mode); \
  }

OF_PATH(int, rmdir)
OF_PATH(int, unlink)
OF_PATH(DIR *, opendir)
OF_PATH_AND(int, access, int)
OF_PATH_AND(int, chmod, mode_t)
OF_PATH_AND(int, mkdir, mode_t)
OF_PATH_AND(FILE *, fopen, const char *)
OF_PATH_AND(FILE *, fopen64, const char *)
OF_PATH_AND(int, statvfs64, struct statvfs64 *)
OF_PATH_AND(char *, realpath, char *)
OF_TWO_PATHS(rename)
OF_TWO_PATHS(symlink)
OF_STAT(__xstat64)
OF_STAT(__lxstat64)
OF_OPEN(open)
OF_OPEN(open64)

char *__realpath_chk(const char *path, char *found, size_t size) {
  Path p;
  return REAL(char *, __realpath_chk, const char *, char *, size_t)(lowered(path, p), found, size);
}

ssize_t readlink(const char *path, char *found, size_t size) {
  Path p;
  return REAL(ssize_t, readlink, const char *, char *, size_t)(lowered(path, p), found, size);
}
