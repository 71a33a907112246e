/* SPDX-License-Identifier: Apache-2.0 */
/* Overlap of turned boxes: the common area of two rectangles by clipping one with the sides of the other. */
#ifndef IEC_CPU_ROTATED_H
#define IEC_CPU_ROTATED_H
#include <math.h>

#include "cpu/kernels/common.h"

enum { ROTATED_CORNERS = 8 }; /* a rectangle that four lines have cut */

typedef struct rotated_point {
  double x, y;
} rotated_point;

/* Corners around the box (x and y of the centre, width, height, angle); `sign` turns the angle's direction.
 */
static inline void rotated_corners(const float *b, double sign, double from_x, double from_y,
                                   rotated_point *p) {
  double sine = sin((double)b[4] * sign), cosine = cos((double)b[4] * sign);
  for (int i = 0; i < 4; i++) {
    double x = (double)b[2] * (i == 0 || i == 3 ? -0.5 : 0.5), y = (double)b[3] * (i < 2 ? -0.5 : 0.5);
    p[i] = (rotated_point){(double)b[0] - from_x + x * cosine - y * sine,
                           (double)b[1] - from_y + x * sine + y * cosine};
  }
}

/* Positive on the inner side of the line from a to b. */
static inline double rotated_side(rotated_point a, rotated_point b, rotated_point p) {
  return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

static inline double rotated_common(const float *a, const float *b, double sign) {
  rotated_point lines[4], lists[2][ROTATED_CORNERS], *p = lists[0], *next = lists[1];
  int n = 4;
  rotated_corners(a, sign, (double)a[0], (double)a[1], p);
  rotated_corners(b, sign, (double)a[0], (double)a[1], lines);
  for (int k = 0; k < 4 && n > 0; k++) {
    rotated_point from = lines[k], to = lines[(k + 1) % 4];
    int count = 0;
    for (int i = 0; i < n && count + 2 <= ROTATED_CORNERS; i++) {
      rotated_point here = p[i], then = p[(i + 1) % n];
      double now = rotated_side(from, to, here), after = rotated_side(from, to, then);
      if (now >= 0) next[count++] = here;
      if ((now >= 0) == (after >= 0)) continue;
      double part = now / (now - after);
      next[count++] = (rotated_point){here.x + part * (then.x - here.x), here.y + part * (then.y - here.y)};
    }
    rotated_point *t = p;
    p = next;
    next = t;
    n = count;
  }
  double area = 0;
  for (int i = 0; i < n; i++) area += p[i].x * p[(i + 1) % n].y - p[(i + 1) % n].x * p[i].y;
  return fmax(area, 0) / 2;
}

/* Intersection over union; a box without area overlaps nothing. */
static inline float rotated_overlap(const float *a, const float *b, double sign) {
  double first = (double)a[2] * (double)a[3], second = (double)b[2] * (double)b[3];
  if (!(a[2] > 0 && a[3] > 0 && b[2] > 0 && b[3] > 0)) return 0;
  double common = rotated_common(a, b, sign);
  return (float)(common / (first + second - common));
}
#endif
