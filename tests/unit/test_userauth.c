/* The authentication protocol between two ends without a transport, and against hostile peers. */
#include "fake_transport.h"

static const struct nacre_span none = {NULL, 0};

struct pair {
	struct end *client, *server;
};

/* A client named "alice" and a server that has given the service. */
static struct pair
pair_new(void)
{
	struct pair pair = {end_new(NACRE_CLIENT, 0, 0), end_new(NACRE_SERVER, 0, 0)};

	assert_int_equal(nacre_auth_user(&pair.client->session, "alice"), 0);
	end_quiet(pair.server, pair.client);
	end_quiet(pair.client, pair.server);
	return pair;
}

static void
pair_free(struct pair pair)
{
	end_free(pair.client);
	end_free(pair.server);
}

static void
assert_span(struct nacre_span span, const char *text)
{
	if (!nacre_span_equals(span, text))
		fail_msg("\"%.*s\" is not \"%s\"", (int)span.length, (const char *)span.data, text);
}

static void
reject(struct pair pair)
{
	assert_int_equal(nacre_auth_reject(&pair.server->session, "publickey,password", false), 0);
}

static void
put_request(struct nacre_buffer *message, const char *user, const char *service, const char *method)
{
	nacre_buffer_clear(message);
	nacre_put_byte(message, 50);
	nacre_put_cstring(message, user);
	nacre_put_cstring(message, service);
	nacre_put_cstring(message, method);
}

/* Requests and answers ----------------------------------------------------------------------- */

static void
test_none_and_success(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t number;

	(void)state;
	assert_int_equal(nacre_auth_none(&pair.client->session, &number), 0);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_int_equal(event.u.auth_request.method, NACRE_METHOD_NONE);
	assert_span(event.u.auth_request.user, "alice");
	assert_span(event.u.auth_request.service, "ssh-connection");
	assert_true(userauth_blocked(pair.server->session.userauth));
	assert_int_equal(nacre_auth_accept(&pair.server->session), 0);
	assert_int_equal(pair.server->transport.authenticated, 1);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTHENTICATED);
	assert_false(userauth_blocked(pair.server->session.userauth));
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.result, NACRE_AUTH_SUCCESS);
	assert_int_equal(event.u.auth_reply.request, number);
	/* Nothing may come between the reply and this. */
	assert_true(userauth_blocked(pair.client->session.userauth));
	end_expect(pair.client, pair.server, NACRE_EVENT_AUTHENTICATED);
	assert_int_equal(pair.client->transport.authenticated, 1);
	assert_int_equal(nacre_auth_none(&pair.client->session, NULL), NACRE_ERROR_STATE);
	pair_free(pair);
}

static void
test_pipelined_queries(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t numbers[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    nacre_auth_query_publickey(&pair.client->session, "ssh-ed25519",
			nacre_span_of((const char *[]){"k0", "k1", "k2"}[i]), &numbers[i]),
		    0);
	assert_int_equal(end_sent(pair.client), 3); /* one flight */
	for (int i = 0; i < 3; i++) {
		event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
		assert_false(event.u.auth_request.has_signature);
		if (i == 1)
			assert_int_equal(nacre_auth_publickey_ok(&pair.server->session), 0);
		else
			reject(pair);
	}
	for (int i = 0; i < 3; i++) {
		event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
		assert_int_equal(event.u.auth_reply.request, numbers[i]);
		assert_int_equal(event.u.auth_reply.result,
		    i == 1 ? NACRE_AUTH_PUBLICKEY_OK : NACRE_AUTH_FAILURE);
	}
	pair_free(pair);
}

/* The server's idea of what was signed is the client's, with and without host binding. */
static void
check_signed(bool host_bound)
{
	struct pair pair = pair_new();
	struct nacre_buffer data = {0};
	struct nacre_event event;

	pair.client->transport.host_bound = host_bound;
	assert_int_equal(
	    nacre_auth_publickey(&pair.client->session, "ssh-ed25519", nacre_span_of("blob"), NULL),
	    0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_SIGN);
	assert_span(event.u.sign.blob, "blob");
	assert_span(event.u.sign.algorithm, "ssh-ed25519");
	assert_false(event.u.sign.exchange_hash);
	nacre_put_span(&data, event.u.sign.data);
	assert_int_equal(
	    userauth_signature(pair.client->session.userauth, nacre_span_of("signature")), 0);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_true(event.u.auth_request.has_signature);
	assert_true(event.u.auth_request.host_bound == host_bound);
	assert_span(event.u.auth_request.signature, "signature");
	assert_true(nacre_span_equal(event.u.auth_request.signed_data, nacre_buffer_span(&data)));
	/* A signed request is not answered by PK_OK. */
	assert_int_equal(nacre_auth_publickey_ok(&pair.server->session), NACRE_ERROR_STATE);
	nacre_buffer_free(&data);
	pair_free(pair);
}

static void
test_signed_request(void **state)
{
	(void)state;
	check_signed(false);
	check_signed(true);
}

/* RFC 4252 section 7, written out. */
static void
test_signed_data(void **state)
{
	struct nacre_buffer expected = {0};
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	nacre_put_cstring(&expected, "session identifier");
	nacre_put_byte(&expected, 50);
	nacre_put_cstring(&expected, "alice");
	nacre_put_cstring(&expected, "ssh-connection");
	nacre_put_cstring(&expected, "publickey-hostbound-v00@openssh.com");
	nacre_put_byte(&expected, 1);
	nacre_put_cstring(&expected, "rsa-sha2-512");
	nacre_put_cstring(&expected, "blob");
	nacre_put_cstring(&expected, "host key");
	pair.client->transport.host_bound = true;
	nacre_auth_publickey(&pair.client->session, "rsa-sha2-512", nacre_span_of("blob"), NULL);
	event = end_expect(pair.client, NULL, NACRE_EVENT_SIGN);
	assert_true(nacre_span_equal(event.u.sign.data, nacre_buffer_span(&expected)));
	nacre_buffer_free(&expected);
	pair_free(pair);
}

/* Signatures arrive late; everything still leaves in the order of the calls. */
static void
test_order_with_late_signatures(void **state)
{
	static const char *const blobs[] = {"a", "b", "c", "d"};
	struct end *client = end_new(NACRE_CLIENT, 0, 0);
	struct nacre_event event;

	(void)state;
	client->transport.established = false;
	nacre_auth_user(&client->session, "alice");
	end_drop(client); /* SERVICE_REQUEST */
	nacre_auth_query_publickey(&client->session, "x", nacre_span_of("a"), NULL);
	nacre_auth_publickey(&client->session, "x", nacre_span_of("b"), NULL);
	nacre_auth_query_publickey(&client->session, "x", nacre_span_of("c"), NULL);
	nacre_auth_publickey(&client->session, "x", nacre_span_of("d"), NULL);
	assert_int_equal(end_sent(client), 1);
	assert_false(end_next(client, NULL, &event)); /* not established */
	client->transport.established = true;
	event = end_expect(client, NULL, NACRE_EVENT_SIGN);
	assert_span(event.u.sign.blob, "b");
	event = end_expect(client, NULL, NACRE_EVENT_SIGN);
	assert_span(event.u.sign.blob, "d");
	assert_false(end_next(client, NULL, &event));
	assert_int_equal(end_sent(client), 1);
	assert_int_equal(userauth_signature(client->session.userauth, nacre_span_of("s")), 0);
	assert_int_equal(end_sent(client), 3);
	assert_int_equal(userauth_signature(client->session.userauth, nacre_span_of("s")), 0);
	assert_int_equal(
	    userauth_signature(client->session.userauth, nacre_span_of("s")), NACRE_ERROR_STATE);
	for (int i = 0; i < 4; i++) {
		struct nacre_reader request = end_take(client, 50);

		nacre_get_string(&request);
		nacre_get_string(&request);
		nacre_get_string(&request);
		assert_int_equal(nacre_get_boolean(&request), i % 2);
		nacre_get_string(&request);
		assert_span(nacre_get_string(&request), blobs[i]);
	}
	end_free(client);
}

static void
test_signature_refused(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t first, second;

	(void)state;
	nacre_auth_publickey(&pair.client->session, "x", nacre_span_of("a"), &first);
	nacre_auth_none(&pair.client->session, &second);
	end_expect(pair.client, NULL, NACRE_EVENT_SIGN);
	assert_int_equal(userauth_signature(pair.client->session.userauth, none), 0);
	assert_int_equal(end_sent(pair.client), 1); /* the second leaves */
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	reject(pair);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.request, second);
	assert_int_equal(event.u.auth_reply.methods.length, 18);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.request, first);
	assert_int_equal(event.u.auth_reply.result, NACRE_AUTH_FAILURE);
	assert_int_equal(event.u.auth_reply.methods.length, 0);
	end_quiet(pair.client, pair.server);
	pair_free(pair);
}

static void
test_password_change(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	nacre_auth_password(&pair.client->session, "old", NULL, NULL);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_span(event.u.auth_request.password, "old");
	assert_false(event.u.auth_request.change);
	/* The event stays valid until the answer, wherever the message was. */
	memset(pair.server->message, 'x', 8);
	assert_span(event.u.auth_request.password, "old");
	assert_int_equal(nacre_auth_change_password(&pair.server->session, "expired"), 0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.result, NACRE_AUTH_CHANGE_PASSWORD);
	assert_span(event.u.auth_reply.prompt, "expired");
	nacre_auth_password(&pair.client->session, "old", "new", NULL);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_true(event.u.auth_request.change);
	assert_span(event.u.auth_request.new_password, "new");
	assert_int_equal(nacre_auth_publickey_ok(&pair.server->session), NACRE_ERROR_STATE);
	assert_int_equal(nacre_auth_accept(&pair.server->session), 0);
	pair_free(pair);
}

/* The secret is wiped where it was received. */
static void
test_password_wiped(void **state)
{
	struct pair pair = pair_new();

	(void)state;
	nacre_auth_password(&pair.client->session, "secret", NULL, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	for (int i = 0; i < 20; i++)
		assert_int_equal(pair.server->message[i], 0);
	reject(pair);
	pair_free(pair);
}

static void
test_password_waits_for_encryption(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	pair.client->transport.encrypted = false;
	nacre_auth_password(&pair.client->session, "secret", NULL, NULL);
	assert_false(end_next(pair.client, pair.server, &event));
	assert_int_equal(end_sent(pair.client), 0);
	pair.client->transport.encrypted = true;
	assert_false(end_next(pair.client, pair.server, &event));
	assert_int_equal(end_sent(pair.client), 1);
	pair.server->transport.encrypted = false;
	assert_false(end_next(pair.server, pair.client, &event));
	assert_true(pair.server->transport.failed);
	pair_free(pair);
}

static void
test_keyboard_interactive(void **state)
{
	struct pair pair = pair_new();
	struct nacre_auth_prompt prompts[2] = {
	    {nacre_span_of("Password: "), false}, {nacre_span_of("Code: "), true}};
	struct nacre_span answers[2] = {nacre_span_of("hunter2"), nacre_span_of("123456")};
	struct nacre_event event;
	uint32_t number;

	(void)state;
	nacre_auth_keyboard_interactive(&pair.client->session, "pam", &number);
	nacre_auth_none(&pair.client->session, NULL); /* may not overtake */
	assert_int_equal(end_sent(pair.client), 1);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_span(event.u.auth_request.devices, "pam");
	assert_int_equal(nacre_auth_ask(&pair.server->session, "name", "do", prompts, 2), 0);
	assert_false(userauth_blocked(pair.server->session.userauth));
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.result, NACRE_AUTH_INFO_REQUEST);
	assert_int_equal(event.u.auth_reply.request, number);
	assert_int_equal(event.u.auth_reply.prompt_count, 2);
	assert_span(event.u.auth_reply.name, "name");
	assert_span(event.u.auth_reply.instruction, "do");
	assert_span(event.u.auth_reply.prompts[1].text, "Code: ");
	assert_true(event.u.auth_reply.prompts[1].echo);
	assert_false(event.u.auth_reply.prompts[0].echo);
	assert_int_equal(
	    nacre_auth_respond(&pair.client->session, answers, 1), NACRE_ERROR_ARGUMENT);
	assert_int_equal(nacre_auth_respond(&pair.client->session, answers, 2), 0);
	assert_int_equal(nacre_auth_respond(&pair.client->session, answers, 2), NACRE_ERROR_STATE);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_RESPONSES);
	assert_int_equal(event.u.auth_responses.count, 2);
	assert_span(event.u.auth_responses.responses[0], "hunter2");
	assert_span(event.u.auth_responses.responses[1], "123456");
	/* Another round without prompts, as PAM likes. */
	assert_int_equal(nacre_auth_ask(&pair.server->session, "", "ok", NULL, 0), 0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_int_equal(event.u.auth_reply.request, number);
	assert_int_equal(nacre_auth_respond(&pair.client->session, NULL, 0), 0);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_RESPONSES);
	assert_int_equal(nacre_auth_reject(&pair.server->session, "publickey", true), 0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	assert_true(event.u.auth_reply.partial_success);
	assert_span(event.u.auth_reply.methods, "publickey");
	end_quiet(pair.client, pair.server);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	assert_int_equal(event.u.auth_request.method, NACRE_METHOD_NONE);
	pair_free(pair);
}

static void
test_interactive_abandoned(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer request = {0};
	struct nacre_event event;

	(void)state;
	nacre_auth_keyboard_interactive(&pair.client->session, NULL, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	nacre_auth_ask(&pair.server->session, "", "", NULL, 0);
	put_request(&request, "alice", "ssh-connection", "none");
	assert_int_equal(end_receive(pair.server, nacre_buffer_span(&request), &event), 1);
	assert_int_equal(event.u.auth_request.method, NACRE_METHOD_NONE);
	reject(pair);
	nacre_buffer_free(&request);
	pair_free(pair);
}

static void
test_banner(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	assert_int_equal(nacre_auth_banner(&pair.server->session, nacre_span_of("Hello\n")), 0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_BANNER);
	assert_span(event.u.text, "Hello\n");
	nacre_auth_none(&pair.client->session, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	nacre_auth_accept(&pair.server->session);
	assert_int_equal(
	    nacre_auth_banner(&pair.server->session, nacre_span_of("late")), NACRE_ERROR_STATE);
	pair_free(pair);
}

static void
test_hostbased(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer request = {0}, expected = {0};
	struct nacre_event event;

	(void)state;
	put_request(&request, "alice", "ssh-connection", "hostbased");
	nacre_put_cstring(&request, "ssh-ed25519");
	nacre_put_cstring(&request, "blob");
	nacre_put_cstring(&request, "client.example.");
	nacre_put_cstring(&request, "bob");
	nacre_put_cstring(&expected, "session identifier");
	nacre_put_span(&expected, nacre_buffer_span(&request));
	nacre_put_cstring(&request, "signature");
	assert_int_equal(end_receive(pair.server, nacre_buffer_span(&request), &event), 1);
	assert_int_equal(event.u.auth_request.method, NACRE_METHOD_HOSTBASED);
	assert_span(event.u.auth_request.client_host, "client.example.");
	assert_span(event.u.auth_request.client_user, "bob");
	assert_span(event.u.auth_request.signature, "signature");
	assert_true(
	    nacre_span_equal(event.u.auth_request.signed_data, nacre_buffer_span(&expected)));
	reject(pair);
	nacre_buffer_free(&request);
	nacre_buffer_free(&expected);
	pair_free(pair);
}

static void
test_unknown_method(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer request = {0};
	struct nacre_event event;

	(void)state;
	put_request(&request, "alice", "ssh-connection", "gssapi-with-mic");
	nacre_put_u32(&request, 7);
	assert_int_equal(end_receive(pair.server, nacre_buffer_span(&request), &event), 1);
	assert_int_equal(event.u.auth_request.method, NACRE_METHOD_OTHER);
	assert_span(event.u.auth_request.method_name, "gssapi-with-mic");
	reject(pair);
	nacre_buffer_free(&request);
	pair_free(pair);
}

static void
test_ignored_after_success(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	nacre_auth_none(&pair.client->session, NULL);
	nacre_auth_none(&pair.client->session, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	nacre_auth_accept(&pair.server->session);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTHENTICATED);
	end_quiet(pair.server, pair.client);
	assert_int_equal(end_sent(pair.client), 0);
	end_expect(pair.client, pair.server, NACRE_EVENT_AUTH_REPLY);
	end_expect(pair.client, pair.server, NACRE_EVENT_AUTHENTICATED);
	assert_false(end_next(pair.client, pair.server, &event));
	pair_free(pair);
}

/* Hostile peers ------------------------------------------------------------------------------ */

/* Every cut of a good message, and every byte too many, ends the session. */
static void
expect_strict(struct nacre_buffer *good)
{
	size_t length = nacre_buffer_length(good);

	for (size_t cut = 1; cut <= length + 1; cut++) {
		struct pair pair = pair_new();
		struct nacre_buffer message = {0};
		struct nacre_event event;
		int result;

		nacre_put_span(&message, nacre_buffer_span(good));
		nacre_put_byte(&message, 0);
		nacre_buffer_truncate(&message, cut);
		result = end_receive(pair.server, nacre_buffer_span(&message), &event);
		if (cut == length)
			assert_int_equal(result, 1);
		else
			assert_int_equal(result, NACRE_ERROR_FORMAT);
		nacre_buffer_free(&message);
		pair_free(pair);
	}
	nacre_buffer_clear(good);
}

static void
test_server_parses_strictly(void **state)
{
	struct nacre_buffer request = {0};

	(void)state;
	put_request(&request, "alice", "ssh-connection", "none");
	expect_strict(&request);
	put_request(&request, "alice", "ssh-connection", "password");
	nacre_put_boolean(&request, false);
	nacre_put_cstring(&request, "pw");
	expect_strict(&request);
	put_request(&request, "alice", "ssh-connection", "publickey");
	nacre_put_boolean(&request, true);
	nacre_put_cstring(&request, "alg");
	nacre_put_cstring(&request, "blob");
	nacre_put_cstring(&request, "sig");
	expect_strict(&request);
	put_request(&request, "alice", "ssh-connection", "publickey-hostbound-v00@openssh.com");
	nacre_put_boolean(&request, true);
	nacre_put_cstring(&request, "alg");
	nacre_put_cstring(&request, "blob");
	nacre_put_cstring(&request, "host key");
	nacre_put_cstring(&request, "sig");
	expect_strict(&request);
	put_request(&request, "alice", "ssh-connection", "keyboard-interactive");
	nacre_put_cstring(&request, "");
	nacre_put_cstring(&request, "dev");
	expect_strict(&request);
	nacre_buffer_free(&request);
}

static void
server_fails(const struct nacre_buffer *message, const char *text)
{
	struct pair pair = pair_new();

	end_expect_failure(pair.server, message, text);
	pair_free(pair);
}

static void
client_fails(const struct nacre_buffer *message, const char *text)
{
	struct pair pair = pair_new();

	end_expect_failure(pair.client, message, text);
	pair_free(pair);
}

static void
test_server_hostile(void **state)
{
	struct nacre_buffer message = {0};

	(void)state;
	for (uint8_t type = 51; type <= 53; type++) {
		nacre_buffer_clear(&message);
		nacre_put_byte(&message, type);
		server_fails(&message, "unexpected message");
	}
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 61);
	nacre_put_u32(&message, 0);
	server_fails(&message, "USERAUTH_INFO_RESPONSE");
	put_request(&message, "alice", "ssh-other", "none");
	server_fails(&message, "unknown service");
	put_request(&message, "alice", "ssh-connection", "publickey-hostbound-v00@openssh.com");
	nacre_put_boolean(&message, false);
	nacre_put_cstring(&message, "alg");
	nacre_put_cstring(&message, "blob");
	nacre_put_cstring(&message, "another host's key");
	server_fails(&message, "bound to another host key");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 50);
	nacre_put_string(&message, "al\0ice", 6);
	nacre_put_cstring(&message, "ssh-connection");
	nacre_put_cstring(&message, "none");
	server_fails(&message, "user name");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 5);
	nacre_put_cstring(&message, "ssh-chess");
	server_fails(&message, "bad service request");
	nacre_buffer_free(&message);
}

/* A client that asks for the service before each attempt, as some do, is answered, but not for
 * ever. */
static void
test_server_service_again(void **state)
{
	struct end *server = end_new(NACRE_SERVER, 0, 0);
	struct nacre_buffer message = {0};
	struct nacre_event event;

	(void)state;
	nacre_put_byte(&message, 5);
	nacre_put_cstring(&message, "ssh-userauth");
	for (int answers = 0; answers < 64; answers++) {
		assert_int_equal(end_receive(server, nacre_buffer_span(&message), &event), 0);
		end_drop(server);
	}
	end_expect_failure(server, &message, "SERVICE_REQUEST");
	nacre_buffer_free(&message);
	end_free(server);
}

static void
test_server_before_service(void **state)
{
	struct end *server = end_new(NACRE_SERVER, 0, 0);
	struct nacre_buffer message = {0};

	(void)state;
	assert_int_equal(
	    nacre_auth_banner(&server->session, nacre_span_of("x")), NACRE_ERROR_STATE);
	put_request(&message, "alice", "ssh-connection", "none");
	end_expect_failure(server, &message, "before SERVICE_REQUEST");
	end_free(server);
	server = end_new(NACRE_SERVER, 0, 0);
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 5);
	nacre_put_cstring(&message, "ssh-connection");
	end_expect_failure(server, &message, "bad service request ssh-connection");
	nacre_buffer_free(&message);
	end_free(server);
}

static void
test_user_change(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = {0};

	(void)state;
	nacre_auth_none(&pair.client->session, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	reject(pair);
	put_request(&message, "root", "ssh-connection", "none");
	end_expect_failure(pair.server, &message,
	    "Change of username or service not allowed: (alice,ssh-connection) -> "
	    "(root,ssh-connection)");
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_wrong_number_of_responses(void **state)
{
	struct pair pair = pair_new();
	struct nacre_auth_prompt prompt = {nacre_span_of("?"), false};
	struct nacre_buffer message = {0};

	(void)state;
	nacre_auth_keyboard_interactive(&pair.client->session, NULL, NULL);
	end_expect(pair.server, pair.client, NACRE_EVENT_AUTH_REQUEST);
	nacre_auth_ask(&pair.server->session, "", "", &prompt, 1);
	nacre_put_byte(&message, 61);
	nacre_put_u32(&message, 0xffffffff);
	end_expect_failure(pair.server, &message, "number of responses");
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_client_hostile(void **state)
{
	struct nacre_buffer message = {0};

	(void)state;
	/* Nothing was asked. */
	nacre_put_byte(&message, 52);
	client_fails(&message, "USERAUTH_SUCCESS");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 51);
	nacre_put_cstring(&message, "password");
	nacre_put_boolean(&message, false);
	client_fails(&message, "USERAUTH_FAILURE");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 60);
	client_fails(&message, "60");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 50);
	client_fails(&message, "unexpected message");
	nacre_buffer_clear(&message);
	nacre_put_byte(&message, 53);
	nacre_put_u32(&message, 1000000);
	client_fails(&message, "malformed message USERAUTH_BANNER");
	nacre_buffer_free(&message);
}

static void
test_client_wrong_key_accepted(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = {0};

	(void)state;
	nacre_auth_query_publickey(&pair.client->session, "x", nacre_span_of("mine"), NULL);
	nacre_put_byte(&message, 60);
	nacre_put_cstring(&message, "x");
	nacre_put_cstring(&message, "another");
	end_expect_failure(pair.client, &message, "another key");
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_client_too_many_prompts(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = {0};

	(void)state;
	nacre_auth_keyboard_interactive(&pair.client->session, NULL, NULL);
	nacre_put_byte(&message, 60);
	nacre_put_cstring(&message, "");
	nacre_put_cstring(&message, "");
	nacre_put_cstring(&message, "");
	nacre_put_u32(&message, NACRE_AUTH_PROMPTS + 1);
	end_expect_failure(pair.client, &message, "too many prompts");
	nacre_buffer_free(&message);
	pair_free(pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_none_and_success),
	    cmocka_unit_test(test_pipelined_queries),
	    cmocka_unit_test(test_signed_request),
	    cmocka_unit_test(test_signed_data),
	    cmocka_unit_test(test_order_with_late_signatures),
	    cmocka_unit_test(test_signature_refused),
	    cmocka_unit_test(test_password_change),
	    cmocka_unit_test(test_password_wiped),
	    cmocka_unit_test(test_password_waits_for_encryption),
	    cmocka_unit_test(test_keyboard_interactive),
	    cmocka_unit_test(test_interactive_abandoned),
	    cmocka_unit_test(test_banner),
	    cmocka_unit_test(test_hostbased),
	    cmocka_unit_test(test_unknown_method),
	    cmocka_unit_test(test_ignored_after_success),
	    cmocka_unit_test(test_server_parses_strictly),
	    cmocka_unit_test(test_server_hostile),
	    cmocka_unit_test(test_server_before_service),
	    cmocka_unit_test(test_server_service_again),
	    cmocka_unit_test(test_user_change),
	    cmocka_unit_test(test_wrong_number_of_responses),
	    cmocka_unit_test(test_client_hostile),
	    cmocka_unit_test(test_client_wrong_key_accepted),
	    cmocka_unit_test(test_client_too_many_prompts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
