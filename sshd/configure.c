/* From a command line to a configured server, and the modes that only test or print. */
#include "server.h"

#include <nacre/client.h>
#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define MODULI_BYTES ((size_t)4 * 1024 * 1024)

void
server_log_open(const struct server *server)
{
	const struct command_line *line = &server->command_line;
	const struct nacre_sshd_config *config = server->config;
	enum nacre_log_output output = NACRE_LOG_SYSLOG;

	if (line->log_file != NULL)
		output = NACRE_LOG_FILE;
	if (line->log_stderr)
		output = NACRE_LOG_STDERR;
	if (nacre_log_open("sshd", output, line->log_file,
		config != NULL ? config->syslog_facility : LOG_AUTH) != 0) {
		fprintf(stderr, "Couldn't open logfile %s: %s\n", line->log_file, strerror(errno));
		exit(1);
	}
	if (config != NULL) {
		nacre_log_level_set((enum nacre_log_level)config->log_level);
		nacre_log_format_set((enum nacre_log_format)config->log_format);
		nacre_log_verbose_set(config->log_verbose.words, config->log_verbose.count);
	}
	if (line->debug > 0)
		nacre_log_level_set((enum nacre_log_level)(NACRE_LOG_DEBUG1 - 1 + line->debug));
	if (line->quiet)
		nacre_log_level_set(NACRE_LOG_QUIET);
}

static int
set_options(struct server *server)
{
	const struct command_line *line = &server->command_line;

	for (size_t i = 0; i < line->option_count; i++) {
		int error =
		    nacre_sshd_config_set(server->config, line->options[i], "command-line", 0);
		if (error != 0)
			return error;
	}
	if (line->port_given)
		nacre_sshd_config_keep(server->config, "Port");
	return 0;
}

static void
add_names(struct nacre_buffer *names, const char *list)
{
	struct nacre_span left = nacre_span_of(list), name;

	while ((name = nacre_list_next(&left)).length > 0) {
		if (nacre_list_contains(nacre_buffer_span(names), name))
			continue;
		if (nacre_buffer_length(names) > 0)
			nacre_put_byte(names, ',');
		nacre_put_span(names, name);
	}
}

/* For server-sig-algs: what is accepted, and what else we verify. Clients look there for the plain
 * algorithm of a certificate, too, and a Match block may accept what the rest does not. */
static int
announce_signatures(struct server *server)
{
	struct nacre_buffer names = {0};

	if (server->config->pubkey_accepted_algorithms != NULL)
		add_names(&names, server->config->pubkey_accepted_algorithms);
	add_names(&names, nacre_signature_algorithms_default());
	server->signature_algorithms = nacre_span_to_string(nacre_buffer_span(&names));
	nacre_buffer_free(&names);
	return server->signature_algorithms != NULL ? 0 : NACRE_ERROR_MEMORY;
}

int
server_configure(struct server *server)
{
	if (nacre_sshd_config_new(&server->config) != 0)
		return NACRE_ERROR_MEMORY;
	int error = set_options(server);
	if (error == 0)
		error = nacre_sshd_config_load(
		    server->config, server->command_line.config_path, nacre_client_assemble);
	if (error != 0)
		server->config->log_level = NACRE_LOG_INFO;
	/* Who starts the server sees its complaints; the log is for what happens later. */
	if (server->command_line.log_file == NULL && !server->running)
		nacre_log_open("sshd", NACRE_LOG_STDERR, NULL, LOG_AUTH);
	else
		server_log_open(server);
	if (!server->running)
		nacre_log_lines(NACRE_LOG_INFO, nacre_buffer_span(&server->config->warnings));
	nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&server->config->error));
	server_log_open(server);
	return error != 0 ? error : announce_signatures(server);
}

/* The file of groups for group exchange; without one the built-in groups do. */
int
server_read_moduli(struct server *server)
{
	int fd = open(server->config->moduli_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return NACRE_ERROR_NOT_FOUND;
	int error = nacre_process_read_file(fd, MODULI_BYTES, &server->moduli_text);
	close(fd);
	if (error != 0)
		nacre_buffer_free(&server->moduli_text);
	server->moduli = nacre_buffer_span(&server->moduli_text);
	return error;
}

static int
read_specifications(struct server *server, struct nacre_connection_spec *connection)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < server->command_line.specification_count; i++)
		error = nacre_connection_spec_parse(
		    server->config, server->command_line.specifications[i], connection);
	return error;
}

int
server_print(struct server *server)
{
	struct nacre_connection_spec connection = {.local_port = -1, .version = SERVER_SOFTWARE};
	struct nacre_sshd_config *matched = NULL;
	struct nacre_buffer text = {0};
	int error = read_specifications(server, &connection), status = error == 0 ? 0 : 1;

	/* Without a connection "Match all" applies nevertheless. */
	if (error == 0 && nacre_sshd_config_has_match(server->config)) {
		error = nacre_sshd_config_match(server->config, &connection, &matched);
		status = error == 0 ? 0 : 255;
	}
	if (error == 0)
		error = nacre_sshd_config_print(matched != NULL ? matched : server->config, &text);
	if (error == 0)
		fwrite(text.data + text.start, 1, nacre_buffer_length(&text), stdout);
	else
		nacre_log_lines(NACRE_LOG_ERROR,
		    nacre_buffer_span(matched != NULL ? &matched->error : &server->config->error));
	nacre_buffer_free(&text);
	nacre_sshd_config_free(matched);
	return error != 0 && status == 0 ? 255 : status;
}

void
server_session_options(
    const struct server *server, struct nacre_session_options *options, struct nacre_span *blobs)
{
	const struct nacre_sshd_config *config = server->config;
	size_t blob_count = 0;

	for (size_t i = 0; i < server->host_key_count; i++) {
		blobs[blob_count++] = nacre_buffer_span(&server->host_keys[i].blob);
		if (nacre_buffer_length(&server->host_keys[i].certificate) > 0)
			blobs[blob_count++] = nacre_buffer_span(&server->host_keys[i].certificate);
	}
	*options = (struct nacre_session_options){
	    .role = NACRE_SERVER,
	    .software = SERVER_SOFTWARE,
	    .version_addendum = config->version_addendum,
	    .kex_algorithms = config->kex_algorithms,
	    .host_key_algorithms = server->host_key_algorithms,
	    .ciphers_client_to_server = config->ciphers,
	    .ciphers_server_to_client = config->ciphers,
	    .macs_client_to_server = config->macs,
	    .macs_server_to_client = config->macs,
	    .compression = config->compression ? "none,zlib@openssh.com" : "none",
	    .host_keys = blobs,
	    .host_key_count = blob_count,
	    .server_signature_algorithms = server->signature_algorithms,
	    .moduli = server->moduli,
	    .required_rsa_bits = (unsigned)config->required_rsa_size,
	    .rekey_bytes = config->rekey_limit,
	    .rekey_seconds = (uint32_t)config->rekey_interval,
	    .log_level = nacre_log_level_get(),
	};
}

void
server_free(struct server *server)
{
	host_keys_free(server);
	free(server->host_key_algorithms);
	free(server->signature_algorithms);
	nacre_buffer_free(&server->moduli_text);
	nacre_sshd_config_free(server->config);
	server->config = NULL;
}
