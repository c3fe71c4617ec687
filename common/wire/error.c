/* The phrases for the error codes. */
#include <nacre/error.h>

#include <stddef.h>

static const char *const phrases[] = {
    [-NACRE_ERROR_MEMORY] = "out of memory or over a size limit",
    [-NACRE_ERROR_ARGUMENT] = "invalid argument",
    [-NACRE_ERROR_FORMAT] = "invalid format",
    [-NACRE_ERROR_UNSUPPORTED] = "not supported",
    [-NACRE_ERROR_PASSPHRASE] = "incorrect passphrase supplied to decrypt private key",
    [-NACRE_ERROR_SIGNATURE] = "incorrect signature",
    [-NACRE_ERROR_INTEGRITY] = "message authentication code incorrect",
    [-NACRE_ERROR_NEGOTIATION] = "no matching algorithm found",
    [-NACRE_ERROR_PROTOCOL] = "protocol error",
    [-NACRE_ERROR_STATE] = "not possible in this state",
    [-NACRE_ERROR_LIBRARY] = "error in a cryptographic library",
    [-NACRE_ERROR_SYSTEM] = "system error",
    [-NACRE_ERROR_NOT_FOUND] = "not found",
    [-NACRE_ERROR_REFUSED] = "refused",
    [-NACRE_ERROR_CLOSED] = "connection closed",
    [-NACRE_ERROR_PERMISSION] = "bad permissions",
    [-NACRE_ERROR_TOO_SMALL] = "key is too short",
};

const char *
nacre_error_string(int error)
{
	if (error == 0)
		return "success";
	if (error > 0 || (size_t) - (long)error >= sizeof phrases / sizeof phrases[0] ||
	    phrases[-error] == NULL)
		return "unknown error";
	return phrases[-error];
}
