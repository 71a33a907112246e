/* SPDX-License-Identifier: Apache-2.0 */
/* Constants that are read from their file while they are packed. */
#include "cpu/source.h"

#include "cpu/pages.h"

void cpu_reader_close(cpu_reader *reader) {
  for (int i = 0; i < CPU_SLOTS; i++) {
    if (reader->slots[i]) cpu_pages_unused(reader->slots[i], reader->sizes[i]); /* the heap may keep them */
    reader->host->release(reader->host->self, reader->slots[i]);
  }
}

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Bytes that are worth a call of the system, and that a buffer has at most. */
enum { LEAST = 16 * 1024, MOST = 4 << 20 };

static const cpu_tensor *largest_constant(const cpu_graph *graph) {
  const cpu_tensor *largest = NULL;
  for (int32_t i = 0; i < graph->value_count; ++i) {
    const cpu_value *value = graph->values[i];
    if (!value->tensor.data || value->owned) continue;
    if (!largest || cpu_tensor_bytes(&value->tensor) > cpu_tensor_bytes(largest)) largest = &value->tensor;
  }
  return largest;
}

/* The file at a path, if it is the one with those numbers. */
static int open_file(const char *path, dev_t device, ino_t inode) {
  struct stat about;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return -1;
  if (!fstat(file, &about) && S_ISREG(about.st_mode) && about.st_ino == inode && about.st_dev == device)
    return file;
  close(file);
  return -1;
}

void cpu_source_open(cpu_source *source, const cpu_graph *graph) {
  *source = (cpu_source){.file = -1, .pages = -1};
  const cpu_tensor *constant = largest_constant(graph);
  if (!constant || cpu_tensor_bytes(constant) < LEAST) return;
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[PATH_MAX + 128]; /* begin-end access offset major:minor inode path */
  while (maps && fgets(line, sizeof line, maps)) {
    uint64_t offset, inode;
    unsigned major_number, minor_number;
    int path = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64 " %x:%x %" SCNu64 " %n", &source->begin,
               &source->end, &offset, &major_number, &minor_number, &inode, &path) < 6)
      continue;
    uintptr_t at = (uintptr_t)constant->data;
    if (at < source->begin || at >= source->end) continue;
    line[strcspn(line, "\n")] = 0;
    source->offset = (int64_t)offset;
    if (inode && path)
      source->file = open_file(line + path, makedev(major_number, minor_number), (ino_t)inode);
    break;
  }
  if (maps) fclose(maps);
  if (source->file >= 0) source->pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

void cpu_source_close(cpu_source *source) {
  if (source->file >= 0) close(source->file);
  if (source->pages >= 0) close(source->pages);
}

static int has_room(cpu_reader *reader, size_t bytes, int slot) {
  if (bytes <= reader->sizes[slot]) return 1;
  const iec_host_api *host = reader->host;
  host->release(host->self, reader->slots[slot]);
  reader->slots[slot] = host->alloc(host->self, bytes, 64);
  reader->sizes[slot] = reader->slots[slot] ? bytes : 0;
  return reader->slots[slot] != NULL;
}

const void *cpu_read(const cpu_node *node, const void *at, size_t bytes, int slot) {
  cpu_reader *reader = node->packs ? node->packs->reader : NULL;
  if (!reader || bytes < LEAST || bytes > MOST) return at;
  const cpu_source *source = reader->source;
  uintptr_t from = (uintptr_t)at;
  if (source->pages < 0 || from < source->begin || from >= source->end || bytes > source->end - from)
    return at;
  if (!cpu_pages_are_files(source->pages, at, bytes) || !has_room(reader, bytes, slot)) return at;
  for (size_t done = 0; done < bytes;) {
    int64_t place = source->offset + (int64_t)(from - source->begin + done);
    ssize_t got = pread(source->file, (char *)reader->slots[slot] + done, bytes - done, (off_t)place);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return at;
    done += (size_t)got;
  }
  return reader->slots[slot];
}
#else
void cpu_source_open(cpu_source *source, const cpu_graph *graph) {
  (void)graph;
  *source = (cpu_source){.file = -1, .pages = -1};
}

void cpu_source_close(cpu_source *source) { (void)source; }

const void *cpu_read(const cpu_node *node, const void *at, size_t bytes, int slot) {
  (void)node, (void)bytes, (void)slot;
  return at;
}
#endif
