/*
 * Inside of ssh-agent's loop: clients and the processes that are asked for them. The loop itself is
 * agent_serve.c; agent_ask.c asks the person, agent_provider.c asks libraries of tokens and
 * authenticators, agent_audit.c writes down what keys were used for.
 */
#ifndef SSH_AGENT_SERVE_H
#define SSH_AGENT_SERVE_H

#include <ssh/agent.h>

#include <nacre/poller.h>

#define HEADER_LENGTH 4
#define READ_SIZE     4096

/* What the poller hands back is one of these. */
enum source { SOURCE_LISTENER, SOURCE_SIGNALS, SOURCE_CLIENT, SOURCE_PROVIDER };

struct provider;

struct client {
	enum source source;
	struct client *next;
	int fd;
	struct nacre_keyring_client *keyring_client;
	struct nacre_buffer input, output;
	int question; /* pidfd of the child that asks; -1: none */
	pid_t asker;
	int pin;                   /* where that child writes a PIN; -1: it asks for consent */
	pid_t notice;              /* shows that a touch is waited for; 0: none */
	struct provider *provider; /* whose reply it waits for */
	bool closed;               /* freed when the round is over */
};

#define REAP_MOST 64

struct server {
	struct nacre_poller *poller;
	struct nacre_keyring *keyring;
	struct client *clients;
	struct provider *providers;
	size_t client_count, client_most;
	const struct agent_options *options;
	enum source listener_source, signals_source;
	int listener, signals;
	bool done;
	/* Children that were told to end. */
	pid_t reaped[REAP_MOST];
	size_t reap_count;
};

/* agent_serve.c: goes on with a client after keyring calls returned "result"; closes it after an
 * error. "before": how long its output was, so that an answer can be taken back. */
void client_outcome(
    struct server *server, struct client *client, int result, size_t before, uint64_t now);
void client_close(struct server *server, struct client *client);
void client_proceed(struct server *server, struct client *client, uint64_t now);
/* Ends a child and waits for it some time later. */
void child_end(struct server *server, pid_t pid, int signal);

/* agent_ask.c: begins to ask for consent, or for a PIN; 0 or an error. */
int ask_begin(struct server *server, struct client *client, const struct nacre_keyring_wait *wait);
/* The child that asked has ended. */
void ask_end(struct server *server, struct client *client, uint64_t now);
void notice_begin(struct client *client, const char *text);
void notice_end(struct server *server, struct client *client);

/* agent_provider.c */
/* The canonical path of a library that may be used; NULL else. The caller frees it. */
char *provider_judge(const struct agent_options *options, const char *path);
/* Sends a client's errand; 0 or an error. */
int provider_ask(
    struct server *server, struct client *client, const struct nacre_keyring_wait *wait);
void provider_ready(struct server *server, struct provider *provider, unsigned what);
/* The client is gone; its errand is nobody's. */
void provider_forget(struct server *server, struct client *client);
/* Ends processes whose tokens have no keys here any more. */
void providers_reap(struct server *server);
void providers_free(struct server *server);

/* agent_audit.c */
/* Opens the file, or says why not and exits. */
int audit_open(const char *path);
/* Writes down one use; false when that failed. */
bool audit_write(const struct agent_options *options, const struct nacre_keyring_use *use);
/* The name of a process; false if it cannot be told. */
bool process_name(pid_t pid, char *name, size_t size);

#endif
