/*
 * One connection as its monitor sees it, from the first packet to the end of the session. The
 * session process inherits it.
 */
#ifndef SSHD_LOGIN_H
#define SSHD_LOGIN_H

#include "monitor.h"
#include "server.h"

#include <nacre/account.h>
#include <nacre/authorized_keys.h>
#include <nacre/key.h>

#define AUTHENTICATION_SERVICE "ssh-connection"

/* A key as the log's objects name it; texts have a NUL behind them (record.c). */
struct key_record {
	const char *type; /* NULL: no key */
	struct nacre_buffer fingerprint, certificate_id, authority;
	bool certificate;
	uint64_t serial;
};

/* The state of user authentication (authenticate.c). */
struct authentication {
	char *user;      /* as the peer says; NULL before the first request */
	char *requested; /* the same with the style behind it, "user:style", as it is signed */
	bool started;
	bool allowed; /* the account exists and policy lets it in */
	bool refused; /* RefuseConnection */
	bool asking;  /* a prompt for the password is unanswered */
	unsigned attempts, failures;
	/* AuthenticationMethods: what is left of each list; count 0: any one method does. */
	char **remaining;
	size_t remaining_count;
	char **used_keys; /* fingerprints, each of which counts once */
	size_t used_key_count;
	char *method; /* that succeeded last */
	/* A line a method that has succeeded, as SSH_AUTH_INFO_0 shows them. */
	struct nacre_buffer methods_text;
	struct nacre_buffer key_line;     /* of the key that has just let the user in */
	struct nacre_buffer key_text;     /* "ED25519 SHA256:...", for the log */
	struct key_record key_record;     /* of the key that was offered last */
	struct nacre_key_options options; /* of the key that let the user in */
	bool has_options;
};

struct login {
	struct server *server;
	struct nacre_sshd_config *config; /* with Match applied once the user is known */
	struct peer peer, proxy; /* the proxy, where there is one, that has named the peer */
	uint64_t log_identifier; /* of the connection in the log */
	uint64_t began;          /* microseconds of the clock */
	enum monitor_state state;
	int control; /* to the listener, or -1 */
	bool asked;  /* which it was told */
	int input, output;
	int network;
	pid_t network_pid;
	pid_t session_pid;
	struct nacre_buffer session_identifier;
	struct nacre_buffer host_key;
	char host_key_algorithm[64]; /* that signed the first key exchange */
	struct nacre_account account;
	char *remote_name; /* of the peer's address, see login_remote_name() */
	bool remote_name_known;
	struct authentication authentication;
	struct pam_login *pam; /* NULL before it is needed */
	/* For the session process, which inherits it. */
	bool session_refused;         /* by PAM */
	bool password_expired;        /* it is all that can be done now to change it */
	struct nacre_buffer messages; /* for the user, to be shown on the terminal */
	char **pam_environment;       /* NULL-terminated, or NULL */
	struct terminal *terminals;   /* of the session (terminal.c) */
};

/* proxy.c: MONITOR_PROXY. The connection is the named client's from now on. */
int proxy_named(struct login *login, struct nacre_reader *request);
/* monitor.c: tells the listener who the client is. */
void monitor_report_proxied(struct login *login, uint8_t family, struct nacre_span address);

/* authenticate.c: a request (its fields behind the type), or the answers to a prompt. 0 with
 * *answer filled, or an error for a request that breaks the rules of monitor.h. */
int authenticate(struct login *login, struct nacre_reader *request, struct answer *answer);
int authenticate_respond(struct login *login, struct nacre_reader *request, struct answer *answer);
void authentication_free(struct authentication *authentication);

/* authenticate_publickey.c: the fields behind the name of the method. */
enum answer_kind authenticate_publickey(
    struct login *login, struct nacre_reader *fields, struct answer *answer);

/* authenticate_password.c */
enum answer_kind authenticate_none(
    struct login *login, struct nacre_reader *fields, struct answer *answer);
enum answer_kind authenticate_password(
    struct login *login, struct nacre_reader *fields, struct answer *answer);
/* authenticate.c: whether an empty password may be tried by this method now. */
bool authenticate_may_use(const struct login *login, const char *name);

/* accounting.c: utmp, wtmp, lastlog and btmp. "line" is a terminal without "/dev/". */
/* Records the login; *text becomes "Last login: ..." of the one before, or stays empty. */
void accounting_login(struct login *login, const char *line, struct nacre_buffer *text);
void accounting_logout(const char *line);
void accounting_failure(struct login *login);

/* audit.c: the same for the kernel's audit trail. "terminal" is a path. */
void audit_login(struct login *login, const char *terminal);
/* The connection ends; somebody has tried to log in, and is not. */
void audit_failure(const struct login *login);

/* terminal.c: what a session process asks of its monitor for its terminals. */
int terminal_open(struct login *login, struct nacre_reader *request);
int terminal_login(struct login *login, struct nacre_reader *request);
int terminal_logout(struct login *login, struct nacre_reader *request);
/* The session is over, and with it all logins on its terminals. */
void terminal_logout_all(struct login *login);

/* authenticate_hostbased.c: the same. */
enum answer_kind authenticate_hostbased(
    struct login *login, struct nacre_reader *fields, struct answer *answer);
/* chroot.c: the session's root directory, or NULL. Ends the process when it is not fit to be one. */
const char *chroot_path(const struct login *login);

/* policy.c: whether the account may log in at all; says why not on the log. */
bool policy_allows(struct login *login);
/* PermitRootLogin for a login by this method. */
bool policy_allows_root(const struct login *login, const char *method);

/* remote_name.c: the name that the peer's address has with UseDNS, or the address. */
const char *login_remote_name(struct login *login);

/* describe_key.c: "ED25519 SHA256:...", and what a certificate adds, with a NUL behind it, in place
 * of what "text" held. */
void describe_key(
    const struct login *login, const struct nacre_key *key, struct nacre_buffer *text);

/* authorize_key.c: whether a key is one of the user's; then with its options. */
bool key_is_authorized(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options);
/* Whether the configuration accepts the algorithm and the key at all. */
bool key_is_acceptable(
    const struct login *login, struct nacre_span algorithm, const struct nacre_key *key);
/* The same for the key of a client's host. */
bool host_key_is_acceptable(
    const struct login *login, struct nacre_span algorithm, const struct nacre_key *key);

/* monitor.c: answers until the connection is over. */
_Noreturn void monitor_run(struct login *login);
/* The process at the other end is gone without a word. */
_Noreturn void monitor_lost_network(struct login *login);

/* record.c: "invalid user X" or "X", for log lines. */
const char *login_user_text(const struct login *login, char *text, size_t room);

#endif
