/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the build id of the library in memory. */
#include "cpu/build_id.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 20 };

static char text[2 * MOST_BYTES + 1];

/* One note after the other, each: sizes of name and contents, type, name, contents, all in steps of 4 bytes.
 */
static void read_notes(const unsigned char *at, size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    memcpy(&note, at, sizeof note);
    size_t name = (note.n_namesz + 3u) / 4 * 4, bytes = (note.n_descsz + 3u) / 4 * 4;
    if (name + bytes > size - sizeof note) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(at + sizeof note, "GNU", 4) == 0)
      for (uint32_t i = 0; i < note.n_descsz && i < MOST_BYTES; ++i)
        snprintf(text + 2 * i, 3, "%02x", at[sizeof note + name + i]);
    at += sizeof note + name + bytes;
    size -= sizeof note + name + bytes;
  }
}

/* Is this object the one that holds `text`? Then its notes are ours. */
static int visit(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size, (void)arg;
  uintptr_t here = (uintptr_t)text;
  int ours = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    ours |= p->p_type == PT_LOAD && here - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
  }
  for (int i = 0; ours && i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_NOTE) read_notes((const unsigned char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz);
  }
  return ours;
}

static void find(void) { dl_iterate_phdr(visit, NULL); }

const char *cpu_build_id(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find);
  return text;
}
