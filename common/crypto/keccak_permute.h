/*
 * The permutation Keccak-f[1600] (FIPS 202 section 3.3) as a function PERMUTE over 25 lanes of the
 * type LANE, a 64-bit integer or a vector of them. Included once for each type; no include guard.
 */
static inline __attribute__((always_inline)) void
PERMUTE_NAME(round)(LANE lanes[25], uint64_t constant)
{
	LANE parity[5], moved[25];

#pragma GCC unroll 5
	for (size_t x = 0; x < 5; x++)
		parity[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
		/* theta, rho and pi */
#pragma GCC unroll 25
	for (size_t i = 0; i < 25; i++) {
		LANE next = parity[(i + 1) % 5];
		LANE lane = lanes[i] ^ parity[(i + 4) % 5] ^ (next << 1 | next >> 63);

		moved[target_lane[i]] = lane << rotation[i] | lane >> ((64 - rotation[i]) % 64);
	}
	/* chi */
#pragma GCC unroll 25
	for (size_t i = 0; i < 25; i++)
		lanes[i] =
		    moved[i] ^ (~moved[i / 5 * 5 + (i + 1) % 5] & moved[i / 5 * 5 + (i + 2) % 5]);
	lanes[0] ^= constant;
}

static inline __attribute__((always_inline)) void
PERMUTE_NAME(permute)(LANE lanes[25])
{
	LANE copy[25];

	memcpy(copy, lanes, sizeof copy);
	for (size_t i = 0; i < 24; i++)
		PERMUTE_NAME(round)(copy, round_constants[i]);
	memcpy(lanes, copy, sizeof copy);
}
