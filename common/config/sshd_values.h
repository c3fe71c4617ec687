/* Value types that only sshd_config has. */
#ifndef CONFIG_SSHD_VALUES_H
#define CONFIG_SSHD_VALUES_H

#include "keyword.h"

extern const struct value_type value_ports;          /* struct nacre_words */
extern const struct value_type value_listen_address; /* kept apart until all ports are known */
extern const struct value_type value_user_patterns;  /* struct nacre_words */
extern const struct value_type value_accept_env;     /* struct nacre_words */
extern const struct value_type value_methods;        /* struct nacre_words */
extern const struct value_type value_max_startups;   /* three ints */
extern const struct value_type value_per_source;     /* int, INT_MAX: none */
extern const struct value_type value_block_size;     /* two ints */
extern const struct value_type value_penalties;      /* struct nacre_penalties */
extern const struct value_type value_exempt;         /* char * */
extern const struct value_type value_server_open;    /* struct nacre_words */
extern const struct value_type value_server_listen;  /* struct nacre_words */
extern const struct value_type value_pubkey_options; /* int, a set */
extern const struct value_type value_subsystem;
extern const struct value_type value_channel_timeouts;
extern const struct value_type value_permit_tunnel; /* int, a set */
extern const struct value_type value_kerberos,
    value_other_part; /* refused when it asks for something */
extern const struct value_type value_routing_domain;

/* sshd_own_values.c: of the keywords that OpenSSH does not have. */
extern const struct value_type value_log_format;     /* int */
extern const struct value_type value_metrics_listen; /* char * */
extern const struct value_type value_networks;       /* struct nacre_words */
extern const struct choice choices_log_format[];

#endif
