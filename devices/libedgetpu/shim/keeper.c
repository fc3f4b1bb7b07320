#define _GNU_SOURCE

#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

enum {
  KEEPERS_FD = 3,
  LONGEST_PATH = 1024,
};

/* Overwritten in the file by devices/libedgetpu/building.py, so neither constant nor static: which
   Python has edgetpu-pipeline, and the directory of its packages. */
__attribute__((used)) char edgetpu_pipeline_python[LONGEST_PATH] = "@edgetpu-pipeline:python@";
__attribute__((used)) char edgetpu_pipeline_root[LONGEST_PATH] = "@edgetpu-pipeline:root@";

static const char program[] =
    "import sys\n"
    "root = sys.argv[1]\n"
    "if root and root not in sys.path: sys.path.insert(0, root)\n"
    "from devices.libedgetpu.keeper import main\n"
    "main(3)\n";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int control = -1; /* guarded by the lock */

/* -- forks: nobody may fork while the lock is held, and a child lets go of the connection -- */

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void in_parent(void) { pthread_mutex_unlock(&lock); }

static void in_child(void) {
  if (control >= 0) close(control);
  control = -1;
  pthread_mutex_unlock(&lock);
}

/* Before device.c, whose lock may be held where this one is taken: handlers that prepare a fork run
   in the reverse order. */
__attribute__((constructor(101))) static void watch_forks(void) {
  pthread_atfork(before_fork, in_parent, in_child);
}

/* When the library is unloaded, and when the program ends. */
__attribute__((destructor)) static void let_go(void) {
  pthread_mutex_lock(&lock);
  if (control >= 0) close(control);
  control = -1;
  pthread_mutex_unlock(&lock);
}

/* -- starting ---------------------------------------------------------------------------- */

static bool spawn(const char* python, char** arguments, int keepers_end, Error* error) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  pid_t pid = -1;
  /* A descriptor that is 3 already would be closed on exec: dup2 onto itself changes nothing. */
  int high = fcntl(keepers_end, F_DUPFD_CLOEXEC, 16);
  if (high < 0) {
    set_error(error, "the process of the simulated Edge TPUs cannot be started (%s)",
              strerror(errno));
    return false;
  }
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  if (fcntl(STDERR_FILENO, F_GETFD) < 0) {
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  posix_spawn_file_actions_adddup2(&actions, high, KEEPERS_FD);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int failure = posix_spawnp(&pid, python, &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(high);
  if (failure != 0) {
    set_error(error,
              "the simulated Edge TPUs need Python with edgetpu-pipeline, and %s cannot be started "
              "(%s); set EDGETPU_PIPELINE_PYTHON to the Python that has it",
              python, strerror(failure));
    return false;
  }
  /* It forks at once and ends, so that the keeper is no child of the program, which may wait for
     its children.  Someone else may have waited for this one: that is as well. */
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
  return true;
}

static bool start(Error* error) {
  int ends[2];
  if (!make_pair(ends, error)) return false;
  const char* wanted = getenv("EDGETPU_PIPELINE_PYTHON");
  bool is_known = edgetpu_pipeline_python[0] != '@';
  bool started;
  char pid[24]; /* shows in `ps` whose keeper it is */
  snprintf(pid, sizeof pid, "%ld", (long)getpid());
  if (wanted != NULL && wanted[0] != '\0') {
    char* arguments[] = {(char*)wanted, "-c", (char*)program, "", pid, NULL};
    started = spawn(wanted, arguments, ends[1], error);
  } else if (is_known) {
    /* Isolated: what PYTHONPATH and PYTHONHOME say is meant for the program's own Python. */
    char* arguments[] = {edgetpu_pipeline_python, "-I", "-c", (char*)program,
                         edgetpu_pipeline_root, pid, NULL};
    started = spawn(edgetpu_pipeline_python, arguments, ends[1], error);
  } else {
    char* arguments[] = {"python3", "-c", (char*)program, "", pid, NULL};
    started = spawn("python3", arguments, ends[1], error);
  }
  close(ends[1]);
  if (!started) {
    close(ends[0]);
    return false;
  }
  control = ends[0];
  return true;
}

int connect_to_keeper(Error* error) {
  int ends[2];
  if (!make_pair(ends, error)) return -1;
  pthread_mutex_lock(&lock);
  bool sent = false;
  bool possible = true;
  /* A keeper that has ended is noticed here, and another one started. */
  for (int tries = 0; tries < 2 && possible && !sent; ++tries) {
    if (control < 0) possible = start(error);
    if (possible) sent = send_packet(control, "C", 1, &ends[1], 1);
    if (possible && !sent) {
      set_error(error, "the process of the simulated Edge TPUs has ended and takes no requests");
      close(control);
      control = -1;
    }
  }
  pthread_mutex_unlock(&lock);
  close(ends[1]);
  if (sent) return ends[0];
  close(ends[0]);
  return -1;
}
