/* The table of key functions: backend/ecdsa.c, rsa.c and pem.c implement its rows. */
#include <crypto/backend.h>
#include <crypto/backend_keys.h>

const struct backend_keys backend_keys = {0};
