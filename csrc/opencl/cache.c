/* SPDX-License-Identifier: Apache-2.0 */
/* Program binaries in a folder: one file each, named by a hash of its key. Nothing here is an error for the
 * caller: without a good file the program is built from its source. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opencl/context.h"

/* File: this header, the key, the binary. */
typedef struct header {
  char magic[8];
  uint64_t key_size, size, hash; /* hash: of key and binary */
} header;

static const char MAGIC[8] = "IECGPU1";

uint64_t gpu_hash(uint64_t start, const void *data, size_t size) {
  const unsigned char *bytes = data;
  uint64_t hash = start ? start : 14695981039346656037u;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

static void path_of(const char *folder, const char *key, char out[4096]) {
  snprintf(out, 4096, "%s/gpu-%016llx.clbin", folder, (unsigned long long)gpu_hash(0, key, strlen(key)));
}

int gpu_cache_has(const char *folder, const char *key) {
  char path[4096];
  path_of(folder, key, path);
  return access(path, R_OK) == 0;
}

static void *read_body(FILE *file, const char *key, size_t *size) {
  header h;
  struct stat info;
  size_t key_size = strlen(key);
  if (fread(&h, sizeof h, 1, file) != 1 || memcmp(h.magic, MAGIC, sizeof h.magic) || h.key_size != key_size)
    return NULL;
  if (fstat(fileno(file), &info) || (uint64_t)info.st_size != sizeof h + key_size + h.size || !h.size)
    return NULL;
  char *body = malloc(key_size + h.size);
  if (!body) return NULL;
  if (fread(body, key_size + h.size, 1, file) != 1 || memcmp(body, key, key_size) ||
      gpu_hash(0, body, key_size + h.size) != h.hash) {
    free(body);
    return NULL;
  }
  memmove(body, body + key_size, h.size);
  *size = h.size;
  return body;
}

void *gpu_cache_read(const char *folder, const char *key, size_t *size) {
  char path[4096];
  path_of(folder, key, path);
  FILE *file = fopen(path, "rbe");
  if (!file) return NULL;
  void *body = read_body(file, key, size);
  fclose(file);
  return body;
}

void gpu_cache_write(const char *folder, const char *key, const void *data, size_t size) {
  char path[4096], temporary[4160];
  size_t key_size = strlen(key);
  header h = {.key_size = key_size, .size = size};
  memcpy(h.magic, MAGIC, sizeof h.magic);
  h.hash = gpu_hash(gpu_hash(0, key, key_size), data, size);
  if (mkdir(folder, 0777) && errno != EEXIST) return;
  path_of(folder, key, path);
  snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
  FILE *file = fopen(temporary, "wbe");
  if (!file) return;
  int good = fwrite(&h, sizeof h, 1, file) == 1 && fwrite(key, key_size, 1, file) == 1 &&
             fwrite(data, size, 1, file) == 1;
  good = fclose(file) == 0 && good;
  if (!good || rename(temporary, path)) unlink(temporary);
}
