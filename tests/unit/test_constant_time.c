/*
 * That the key encapsulation mechanisms of our own neither branch on nor index with a secret. The
 * program runs itself under valgrind, declares every secret undefined, and lets memcheck complain
 * about what is decided by undefined bits. Where valgrind cannot run, nothing is tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(NACRE_SANITIZED) || !defined(__has_include)
#define CAN_RUN 0
#elif !__has_include(<valgrind/memcheck.h>)
#define CAN_RUN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define CAN_RUN 0
#endif
#endif
#ifndef CAN_RUN
#define CAN_RUN 1
#include <valgrind/memcheck.h>
#endif

#if CAN_RUN

#include <crypto/kem.h>
#include <crypto/mlkem768.h>
#include <crypto/random.h>

#include <fcntl.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/wait.h>

#define SUPPRESSIONS "--suppressions=tests/unit/constant_time.supp"
/* dk_PKE in front and z behind; what is between is public. */
#define MLKEM_SECRETS  1152
#define MLKEM_REJECT   32
#define SNTRUP_SECRETS 382
#define SNTRUP_PUBLIC  1158
#define SNTRUP_REJECT  191

static uint8_t public[KEM_PUBLIC_MAX], private[KEM_PRIVATE_MAX], ciphertext[KEM_CIPHERTEXT_MAX];
static uint8_t secret[KEM_SECRET_LENGTH], seed[MLKEM768_SEED_LENGTH];
static unsigned long errors;

static void
secret_begin(void *bytes, size_t length)
{
	VALGRIND_MAKE_MEM_UNDEFINED(bytes, length);
}

static void
secret_end(void *bytes, size_t length)
{
	VALGRIND_MAKE_MEM_DEFINED(bytes, length);
}

/* That what comes out depends on the secrets that went in: they were followed all the way. */
static void
assert_secret(const void *bytes, size_t length)
{
	uint8_t undefined[KEM_PRIVATE_MAX] = {0};

	assert_int_equal(VALGRIND_GET_VBITS(bytes, undefined, length), 1);
	assert_false(sodium_is_zero(undefined, length));
}

/* Random numbers that memcheck takes for undefined. */
static const char *
secret_random_name(void)
{
	return "secret";
}

static void
secret_random_buf(void *const bytes, const size_t length)
{
	randombytes_sysrandom_implementation.buf(bytes, length);
	secret_begin(bytes, length);
}

static uint32_t
secret_random(void)
{
	uint32_t number;

	secret_random_buf(&number, sizeof number);
	return number;
}

static randombytes_implementation secret_randomness = {
    .implementation_name = secret_random_name,
    .random = secret_random,
    .buf = secret_random_buf,
};

static int
begin(void **state)
{
	(void)state;
	errors = VALGRIND_COUNT_ERRORS;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	return VALGRIND_COUNT_ERRORS == errors ? 0 : -1;
}

static void
mlkem768(void **state)
{
	(void)state;
	randombytes_sysrandom_implementation.buf(seed, sizeof seed);
	secret_begin(seed, sizeof seed);
	mlkem768_generate(seed, public, private);
	assert_secret(private, MLKEM_SECRETS);
	secret_end(public, sizeof public);
	secret_end(private + MLKEM_SECRETS, MLKEM768_PRIVATE_LENGTH - MLKEM_SECRETS - MLKEM_REJECT);
	assert_int_equal(mlkem768_encapsulate(public, seed, ciphertext, secret), 0);
	assert_secret(secret, sizeof secret);
	secret_end(ciphertext, sizeof ciphertext);
	mlkem768_decapsulate(private, ciphertext, secret);
	assert_secret(secret, sizeof secret);
	ciphertext[0] ^= 1;
	mlkem768_decapsulate(private, ciphertext, secret);
	assert_secret(secret, sizeof secret);
}

static void
sntrup761(void **state)
{
	const struct kem *kem = &kem_sntrup761;

	(void)state;
	kem->generate(public, private);
	assert_secret(private, SNTRUP_SECRETS);
	secret_end(public, sizeof public);
	secret_end(private + SNTRUP_SECRETS, SNTRUP_PUBLIC);
	secret_end(private + SNTRUP_SECRETS + SNTRUP_PUBLIC + SNTRUP_REJECT,
	    kem->private_length - SNTRUP_SECRETS - SNTRUP_PUBLIC - SNTRUP_REJECT);
	assert_int_equal(kem->encapsulate(public, ciphertext, secret), 0);
	assert_secret(secret, sizeof secret);
	secret_end(ciphertext, sizeof ciphertext);
	kem->decapsulate(private, ciphertext, secret);
	assert_secret(secret, sizeof secret);
	ciphertext[0] ^= 1;
	kem->decapsulate(private, ciphertext, secret);
	assert_secret(secret, sizeof secret);
}

/* Whether there is a valgrind that can read this program's debugging information. */
static bool
valgrind_works(char *program)
{
	char *arguments[] = {"valgrind", "-q", program, "probe", NULL};
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ) == 0)
		waitpid(child, &status, 0);
	posix_spawn_file_actions_destroy(&actions);
	return status == 0;
}

int
main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(mlkem768, begin, end),
	    cmocka_unit_test_setup_teardown(sntrup761, begin, end),
	};

	if (count > 1)
		return EXIT_SUCCESS;
	if (RUNNING_ON_VALGRIND == 0) {
		if (valgrind_works(arguments[0]))
			execlp(
			    "valgrind", "valgrind", "-q", SUPPRESSIONS, arguments[0], (char *)NULL);
		puts("[  SKIPPED ] valgrind is not installed, or does not know this build");
		return EXIT_SUCCESS;
	}
	sodium_ready();
	randombytes_set_implementation(&secret_randomness);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int
main(void)
{
	puts("[  SKIPPED ] valgrind cannot run this build, or its headers are not installed");
	return EXIT_SUCCESS;
}

#endif
