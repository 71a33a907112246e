/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the built-in CPU driver. */
#ifndef IEC_CPU_DRIVER_H
#define IEC_CPU_DRIVER_H
#include "iec/driver.h"

iec_status iec_cpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

#endif
