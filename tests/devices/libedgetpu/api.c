/* Uses libedgetpu's C API: lists all devices, opens each by type and path, and two that cannot be.

   Usage: api LIBRARY */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

struct edgetpu_device {
  int type;
  const char* path;
};

struct edgetpu_option {
  const char *name, *value;
};

int main(int count, char** arguments) {
  void* library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  if (library == NULL) return 1;
  struct edgetpu_device* (*list)(size_t*) =
      (struct edgetpu_device * (*)(size_t*)) dlsym(library, "edgetpu_list_devices");
  void (*free_devices)(struct edgetpu_device*) =
      (void (*)(struct edgetpu_device*))dlsym(library, "edgetpu_free_devices");
  void* (*create)(int, const char*, const struct edgetpu_option*, size_t) =
      (void* (*)(int, const char*, const struct edgetpu_option*, size_t))dlsym(
          library, "edgetpu_create_delegate");
  void (*free_delegate)(void*) = (void (*)(void*))dlsym(library, "edgetpu_free_delegate");
  void (*verbosity)(int) = (void (*)(int))dlsym(library, "edgetpu_verbosity");
  const char* (*version)(void) = (const char* (*)(void))dlsym(library, "edgetpu_version");
  const struct edgetpu_option good[] = {{"Performance", "Max"}}, bad[] = {{"Performance", "Fast"}};

  printf("version %s\n", version());
  verbosity(1);
  size_t found;
  struct edgetpu_device* devices = list(&found);
  for (size_t i = 0; i < found; ++i) {
    void* delegate = create(devices[i].type, devices[i].path, good, 1);
    printf("%s %s %s\n", devices[i].type == 0 ? "pci" : "usb", devices[i].path,
           delegate ? "opened" : "failed");
    free_delegate(delegate);
  }
  free_devices(devices);
  if (create(0, "simulated/usb:0", NULL, 0) == NULL) printf("nothing at simulated/usb:0 as pci\n");
  if (create(1, NULL, bad, 1) == NULL) printf("nothing with Performance Fast\n");
  return 0;
}
