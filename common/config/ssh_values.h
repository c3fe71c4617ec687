/* Value types that only ssh_config has. */
#ifndef CONFIG_SSH_VALUES_H
#define CONFIG_SSH_VALUES_H

#include "keyword.h"

struct forward_kind {
	const char *name;
	bool dynamic, remote;
};
extern const struct forward_kind forward_local, forward_remote, forward_dynamic;

extern const struct value_type value_port;          /* int */
extern const struct value_type value_attempts;      /* int, at least 1 */
extern const struct value_type value_escape;        /* int */
extern const struct value_type value_persist;       /* bool and int, seconds */
extern const struct value_type value_add_keys;      /* int and int, seconds */
extern const struct value_type value_tunnel_device; /* int and int */
extern const struct value_type value_forward;       /* struct nacre_forwards; details: kind */
extern const struct value_type value_permit_open;   /* struct nacre_words */
extern const struct value_type value_domains;       /* struct nacre_words */
extern const struct value_type value_cnames;        /* struct nacre_words */
extern const struct value_type value_send_env;      /* struct nacre_words */
extern const struct value_type value_proxy_command; /* char * */
extern const struct value_type value_proxy_jump;    /* char * */
extern const struct value_type value_obscure;       /* bool and int, milliseconds */
extern const struct value_type value_timeouts;      /* struct nacre_words */

#endif
