/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of extensions among those of the CPU driver. */
#ifndef IEC_CPU_EXTENSION_H
#define IEC_CPU_EXTENSION_H
#include "cpu/kernel.h"
#include "iec/extension.h"

/* The kernels that some extensions have for the device CPU; counted, since plans outlive their replacement.
 */
iec_status cpu_extensions_create(const iec_host_api *host, const iec_extension_api *const *extensions,
                                 size_t count, cpu_extensions **out, iec_error *err);
/* Both accept NULL. Threads: any. */
cpu_extensions *cpu_extensions_retain(cpu_extensions *extensions);
void cpu_extensions_release(cpu_extensions *extensions);

/* Kernels, NULL-terminated; `extensions` may be NULL. */
const cpu_kernel *const *cpu_extensions_kernels(const cpu_extensions *extensions);

#endif
