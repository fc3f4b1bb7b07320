#define _GNU_SOURCE

#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  MOST_FDS = 2,
  LOOK_MS = 250,     /* in which intervals it is looked whether a process is stopped */
  STOPPED_MS = 1000, /* how long it may be, as devices.hosted.Deadlines has it */
};

void set_error(Error* error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
}

/* The descriptor, or a copy of it that is none of 0 to 2: a program that has closed these goes on
   writing to them. */
static int beyond_standard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(fd);
  return copy;
}

bool make_pair(int ends[2], Error* error) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0) {
    ends[0] = beyond_standard(ends[0]);
    ends[1] = beyond_standard(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) return true;
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
  }
  set_error(error, "a connection to the simulated Edge TPU cannot be made (%s)", strerror(errno));
  return false;
}

int make_memory(const char* name, size_t size, Error* error) {
  int fd = beyond_standard(memfd_create(name, MFD_CLOEXEC));
  if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) return fd;
  set_error(error, "%zu bytes to share with the simulated Edge TPU cannot be had (%s)", size,
            strerror(errno));
  if (fd >= 0) close(fd);
  return -1;
}

bool send_packet(int socket, const void* data, size_t size, const int* fds, int fd_count) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(MOST_FDS * sizeof(int))];
  } control;
  struct iovec part = {.iov_base = (void*)data, .iov_len = size};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd_count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)size;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_stopped(pid_t process) {
  char path[32];
  char state = '?';
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)process);
  FILE* file = fopen(path, "re");
  if (file == NULL) return false;
  /* "pid (name) state ...": names of device processes have no brackets. */
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = '?';
  fclose(file);
  return state == 'T' || state == 't';
}

/* DONE once something, perhaps the end, can be read; else LATE, or STOPPED. */
static Outcome await(int socket, pid_t process, int within_s) {
  int64_t deadline = now_ms() + (int64_t)within_s * 1000;
  int64_t stopped_since = -1;
  for (;;) {
    int64_t left = deadline - now_ms();
    if (left < 0) left = 0;
    if (process > 0 && left > LOOK_MS) left = LOOK_MS;
    struct pollfd look = {.fd = socket, .events = POLLIN};
    int found = poll(&look, 1, (int)left);
    if (found > 0) return DONE;
    if (found < 0 && errno != EINTR) return LATE;
    int64_t now = now_ms();
    if (now >= deadline) return LATE;
    if (found < 0 || process <= 0) continue;
    if (!is_stopped(process)) {
      stopped_since = -1;
    } else if (stopped_since < 0) {
      stopped_since = now;
    } else if (now - stopped_since >= STOPPED_MS) {
      return STOPPED;
    }
  }
}

Outcome receive_answer(int socket, pid_t process, int within_s, void* answer, size_t capacity,
                       size_t* answer_size, Error* error) {
  Outcome waited = await(socket, process, within_s);
  if (waited != DONE) return waited;
  char first;
  char* rest = malloc(LARGEST_PACKET);
  if (rest == NULL) {
    set_error(error, "there is no memory for an answer of the simulated Edge TPU");
    return REFUSED;
  }
  struct iovec parts[2] = {{.iov_base = &first, .iov_len = 1},
                           {.iov_base = rest, .iov_len = LARGEST_PACKET}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  Outcome outcome = GONE;
  if (received > 0) {
    size_t size = (size_t)received - 1;
    if (first == '+') {
      outcome = DONE;
      if (size > capacity) size = capacity;
      if (size > 0) memcpy(answer, rest, size);
      if (answer_size != NULL) *answer_size = size;
    } else {
      outcome = REFUSED;
      set_error(error, "%.*s", (int)size, rest);
    }
  }
  free(rest);
  return outcome;
}

Outcome ask(int socket, pid_t process, const void* data, size_t size, const int* fds, int fd_count,
            int within_s, Error* error) {
  if (!send_packet(socket, data, size, fds, fd_count)) return GONE;
  return receive_answer(socket, process, within_s, NULL, 0, NULL, error);
}
