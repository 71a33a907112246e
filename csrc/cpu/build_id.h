/* SPDX-License-Identifier: Apache-2.0 */
/* Which build of the library this is. */
#ifndef IEC_CPU_BUILD_ID_H
#define IEC_CPU_BUILD_ID_H

/* The build id that the linker made of the library's contents, as hexadecimal digits; "" when it made none.
 * Threads: any. */
const char *cpu_build_id(void);

#endif
