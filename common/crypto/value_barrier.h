/* Keeps compilers from seeing what a number can be: one that knows a mask to be all zeros or all
 * ones may well make a branch of it. */
#ifndef CRYPTO_VALUE_BARRIER_H
#define CRYPTO_VALUE_BARRIER_H

#include <stdint.h>

static inline uint32_t
value_barrier(uint32_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

#endif
