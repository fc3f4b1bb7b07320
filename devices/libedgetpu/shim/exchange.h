/* Packets over socket pairs: one request, one answer, each with descriptors if need be. */

#ifndef EDGETPU_PIPELINE_EXCHANGE_H_
#define EDGETPU_PIPELINE_EXCHANGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
  LARGEST_PACKET = 64 * 1024,
  LONGEST_ERROR = 4096,
};

typedef struct {
  char text[LONGEST_ERROR];
} Error;

/* What became of a request. */
typedef enum {
  DONE,
  REFUSED,  /* the other side says why */
  GONE,     /* the other side has ended */
  LATE,     /* it has not answered in time */
  STOPPED,  /* its process is stopped (SIGSTOP, a debugger) */
} Outcome;

/* Says what went wrong; later calls replace it. */
void set_error(Error* error, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* Both ends of a connection, closed on exec; false, with the error, if there can be none. */
bool make_pair(int ends[2], Error* error);

/* A memory file of that size; -1, with the error, if there can be none. */
int make_memory(const char* name, size_t size, Error* error);

/* Sends one packet.  The descriptors stay the caller's.  False if the other side is gone. */
bool send_packet(int socket, const void* data, size_t size, const int* fds, int fd_count);

/* Waits for the answer of a process (0: not looked at), which begins with '+' or '-'.  Behind the '+' may follow data, of which
   `answer` gets at most `capacity` bytes and `*answer_size` the number.  Behind the '-' is a
   sentence, which goes into the error.  Interruptions by signals are waited through. */
Outcome receive_answer(int socket, pid_t process, int within_s, void* answer, size_t capacity,
                       size_t* answer_size, Error* error);

/* Sends a packet and waits for an answer without data. */
Outcome ask(int socket, pid_t process, const void* data, size_t size, const int* fds, int fd_count,
            int within_s, Error* error);

#endif
