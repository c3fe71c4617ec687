/*
 * The agent protocol: the keyring by raw messages, and the client against a keyring in another
 * process.
 */
#include <nacre/agent.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FAILURE = 5, SUCCESS = 6, IDENTITIES = 12, SIGNED = 14, EXTENSION_FAILED = 28 };

static const struct nacre_span nothing;

struct fixture {
	struct nacre_keyring *keyring;
	struct nacre_keyring_client *client;
	struct nacre_key *key;
	struct nacre_buffer blob, request, answer;
	uint64_t now;
};

static int
setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	assert_int_equal(nacre_keyring_new(&fixture->keyring), 0);
	assert_int_equal(nacre_keyring_client_new(fixture->keyring, &fixture->client), 0);
	assert_int_equal(nacre_key_generate(NACRE_KEY_ED25519, 0, &fixture->key), 0);
	nacre_key_put_blob(fixture->key, false, &fixture->blob);
	fixture->now = 1000000;
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	nacre_keyring_client_free(fixture->client);
	nacre_keyring_free(fixture->keyring);
	nacre_key_free(fixture->key);
	nacre_buffer_free(&fixture->blob);
	nacre_buffer_free(&fixture->request);
	nacre_buffer_free(&fixture->answer);
	free(fixture);
	return 0;
}

static struct nacre_buffer *
request_begin(struct fixture *fixture, uint8_t type)
{
	nacre_buffer_clear(&fixture->request);
	nacre_put_byte(&fixture->request, type);
	return &fixture->request;
}

/* The type of the framed answer; what follows is in *content. */
static uint8_t
answer_type(struct fixture *fixture, struct nacre_reader *content)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&fixture->answer));

	*content = nacre_reader_of(nacre_get_string(&reader));
	assert_true(nacre_reader_done(&reader));
	return nacre_get_byte(content);
}

static uint8_t
ask(struct fixture *fixture, struct nacre_reader *content)
{
	struct nacre_reader ignored;

	nacre_buffer_clear(&fixture->answer);
	assert_int_equal(nacre_keyring_handle(fixture->client, nacre_buffer_span(&fixture->request),
			     fixture->now, &fixture->answer),
	    NACRE_KEYRING_ANSWERED);
	return answer_type(fixture, content != NULL ? content : &ignored);
}

static void
put_key(struct fixture *fixture, uint8_t type, const char *comment)
{
	struct nacre_buffer *request = request_begin(fixture, type);

	nacre_key_write_private(fixture->key, request);
	nacre_put_cstring(request, comment);
}

static uint8_t
ask_sign(struct fixture *fixture, const char *data, struct nacre_reader *content)
{
	struct nacre_buffer *request = request_begin(fixture, 13);

	nacre_put_string_span(request, nacre_buffer_span(&fixture->blob));
	nacre_put_cstring(request, data);
	nacre_put_u32(request, 0);
	return ask(fixture, content);
}

static uint32_t
listed(struct fixture *fixture)
{
	struct nacre_reader content;

	request_begin(fixture, 11);
	assert_int_equal(ask(fixture, &content), IDENTITIES);
	return nacre_get_u32(&content);
}

static uint8_t
ask_string(struct fixture *fixture, uint8_t type, const char *text)
{
	nacre_put_cstring(request_begin(fixture, type), text);
	return ask(fixture, NULL);
}

static void
test_add_list_sign_remove(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_reader content;

	assert_int_equal(listed(fixture), 0);
	assert_int_equal(ask_sign(fixture, "text", NULL), FAILURE);
	put_key(fixture, 17, "first");
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	put_key(fixture, 17, "second"); /* the same key: replaces */
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	request_begin(fixture, 11);
	assert_int_equal(ask(fixture, &content), IDENTITIES);
	assert_int_equal(nacre_get_u32(&content), 1);
	assert_true(
	    nacre_span_equal(nacre_get_string(&content), nacre_buffer_span(&fixture->blob)));
	assert_true(nacre_span_equals(nacre_get_string(&content), "second"));
	assert_int_equal(ask_sign(fixture, "text", &content), SIGNED);
	assert_int_equal(nacre_key_verify(fixture->key, "ssh-ed25519", nacre_get_string(&content),
			     nacre_span_of("text")),
	    0);
	assert_true(nacre_reader_done(&content));
	nacre_put_string_span(request_begin(fixture, 18), nacre_buffer_span(&fixture->blob));
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	assert_int_equal(ask(fixture, NULL), SUCCESS - 1);
	assert_int_equal(listed(fixture), 0);
}

static void
test_lifetime(void **state)
{
	struct fixture *fixture = *state;

	put_key(fixture, 25, "key");
	nacre_put_byte(&fixture->request, 1);
	nacre_put_u32(&fixture->request, 10);
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	assert_int_equal(nacre_keyring_deadline(fixture->keyring), fixture->now + 10000);
	fixture->now += 9999;
	assert_int_equal(listed(fixture), 1);
	fixture->now += 1;
	assert_int_equal(listed(fixture), 0);
	assert_true(nacre_keyring_deadline(fixture->keyring) == UINT64_MAX);
	nacre_keyring_default_lifetime(fixture->keyring, 5);
	put_key(fixture, 17, "key");
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	assert_int_equal(nacre_keyring_deadline(fixture->keyring), fixture->now + 5000);
}

static void
test_confirmation(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_keyring_wait question;
	struct nacre_reader content;

	put_key(fixture, 25, "guarded");
	nacre_put_byte(&fixture->request, 2);
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	for (int allowed = 0; allowed <= 1; allowed++) {
		struct nacre_buffer *request = request_begin(fixture, 13);

		nacre_put_string_span(request, nacre_buffer_span(&fixture->blob));
		nacre_put_cstring(request, "text");
		nacre_put_u32(request, 0);
		nacre_buffer_clear(&fixture->answer);
		assert_int_equal(nacre_keyring_handle(fixture->client, nacre_buffer_span(request),
				     fixture->now, &fixture->answer),
		    NACRE_KEYRING_QUESTION);
		assert_int_equal(nacre_buffer_length(&fixture->answer), 0);
		nacre_keyring_wait(fixture->client, &question);
		assert_int_equal(question.what, NACRE_KEYRING_QUESTION);
		assert_string_equal(question.comment, "guarded");
		assert_true(nacre_key_equal(question.key, fixture->key));
		assert_int_equal(nacre_keyring_handle(fixture->client, nacre_buffer_span(request),
				     fixture->now, &fixture->answer),
		    NACRE_ERROR_STATE);
		nacre_keyring_confirm(
		    fixture->client, allowed != 0, fixture->now, &fixture->answer);
		assert_int_equal(answer_type(fixture, &content), allowed != 0 ? SIGNED : FAILURE);
		nacre_keyring_wait(fixture->client, &question);
		assert_int_equal(question.what, NACRE_KEYRING_ANSWERED);
	}
	/* A key that is removed while the question is open is not used any more. */
	nacre_buffer_clear(&fixture->answer);
	assert_int_equal(nacre_keyring_handle(fixture->client, nacre_buffer_span(&fixture->request),
			     fixture->now, &fixture->answer),
	    NACRE_KEYRING_QUESTION);
	nacre_keyring_remove_all(fixture->keyring);
	nacre_keyring_confirm(fixture->client, true, fixture->now, &fixture->answer);
	assert_int_equal(answer_type(fixture, &content), FAILURE);
}

static void
test_unknown_constraints_refuse_the_key(void **state)
{
	struct fixture *fixture = *state;

	put_key(fixture, 25, "key");
	nacre_put_byte(&fixture->request, 255);
	nacre_put_cstring(&fixture->request, "restrict-destination-v00@openssh.com");
	nacre_put_cstring(&fixture->request, "");
	assert_int_equal(ask(fixture, NULL), FAILURE);
	put_key(fixture, 25, "key");
	nacre_put_byte(&fixture->request, 77);
	assert_int_equal(ask(fixture, NULL), FAILURE);
	put_key(fixture, 25, "key");
	nacre_put_byte(&fixture->request, 1); /* a lifetime cut short */
	nacre_put_byte(&fixture->request, 1);
	assert_int_equal(ask(fixture, NULL), FAILURE);
	assert_int_equal(nacre_keyring_count(fixture->keyring), 0);
}

static void
test_lock(void **state)
{
	struct fixture *fixture = *state;
	uint64_t first, second;

	put_key(fixture, 17, "key");
	assert_int_equal(ask(fixture, NULL), SUCCESS);
	assert_int_equal(ask_string(fixture, 23, "secret"), FAILURE); /* not locked */
	assert_int_equal(ask_string(fixture, 22, "secret"), SUCCESS);
	assert_int_equal(listed(fixture), 0);
	assert_int_equal(ask_sign(fixture, "text", NULL), FAILURE);
	put_key(fixture, 17, "key");
	assert_int_equal(ask(fixture, NULL), FAILURE);
	request_begin(fixture, 19);
	assert_int_equal(ask(fixture, NULL), FAILURE);
	assert_int_equal(ask_string(fixture, 22, "secret"), FAILURE);
	assert_int_equal(ask_string(fixture, 23, "Secret"), FAILURE);
	first = nacre_keyring_client_not_before(fixture->client) - fixture->now;
	assert_int_equal(ask_string(fixture, 23, ""), FAILURE);
	second = nacre_keyring_client_not_before(fixture->client) - fixture->now;
	assert_true(first >= 100 && second > first);
	assert_int_equal(ask_string(fixture, 23, "secret"), SUCCESS);
	assert_int_equal(listed(fixture), 1);
}

static void
test_extensions(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_reader content;
	bool found = false;

	nacre_put_cstring(request_begin(fixture, 27), "unknown@example.org");
	assert_int_equal(ask(fixture, NULL), FAILURE);
	nacre_put_cstring(request_begin(fixture, 27), "query");
	assert_int_equal(ask(fixture, &content), 29);
	assert_true(nacre_span_equals(nacre_get_string(&content), "query"));
	while (content.length > 0 && !content.failed)
		found = nacre_span_equals(nacre_get_string(&content), "session-bind@openssh.com") ||
			found;
	assert_true(found && !content.failed);
}

static uint8_t
bind_session(struct fixture *fixture, const char *session, const char *signed_session, bool forward)
{
	struct nacre_buffer signature = {0};
	struct nacre_buffer *request = request_begin(fixture, 27);

	nacre_key_sign(fixture->key, NULL, nacre_span_of(signed_session), &signature);
	nacre_put_cstring(request, "session-bind@openssh.com");
	nacre_put_string_span(request, nacre_buffer_span(&fixture->blob));
	nacre_put_cstring(request, session);
	nacre_put_string_span(request, nacre_buffer_span(&signature));
	nacre_put_boolean(request, forward);
	nacre_buffer_free(&signature);
	return ask(fixture, NULL);
}

static void
test_session_bind(void **state)
{
	struct fixture *fixture = *state;
	char session[] = "session a";

	assert_int_equal(bind_session(fixture, "session", "another", false), EXTENSION_FAILED);
	for (int i = 0; i < 8; i++, session[8]++)
		assert_int_equal(bind_session(fixture, session, session, true), SUCCESS);
	assert_int_equal(bind_session(fixture, "session a", "session a", true), EXTENSION_FAILED);
	assert_int_equal(bind_session(fixture, "last", "last", false), SUCCESS);
	assert_int_equal(bind_session(fixture, "more", "more", false), EXTENSION_FAILED);
}

/* Every prefix of a message, and every message type, gets an answer and changes nothing. */
static void
test_garbage(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_span whole;

	put_key(fixture, 17, "key");
	whole = nacre_buffer_span(&fixture->request);
	for (size_t length = 0; length < whole.length; length++) {
		nacre_buffer_clear(&fixture->answer);
		assert_int_equal(
		    nacre_keyring_handle(fixture->client, (struct nacre_span){whole.data, length},
			fixture->now, &fixture->answer),
		    NACRE_KEYRING_ANSWERED);
		assert_int_equal(fixture->answer.data[4], FAILURE);
	}
	for (unsigned type = 0; type < 256; type++) {
		if (type == 19 || type == 11)
			continue;
		request_begin(fixture, (uint8_t)type);
		assert_int_equal(ask(fixture, NULL), FAILURE);
	}
	assert_int_equal(nacre_keyring_count(fixture->keyring), 0);
}

static void
test_listing_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	static char comment[100001];
	unsigned accepted = 0;

	memset(comment, 'c', sizeof comment - 1);
	for (int i = 0; i < 5; i++) {
		nacre_key_free(fixture->key);
		nacre_key_generate(NACRE_KEY_ED25519, 0, &fixture->key);
		put_key(fixture, 17, comment);
		if (ask(fixture, NULL) == SUCCESS)
			accepted++;
	}
	assert_int_equal(accepted, 2);
	assert_int_equal(listed(fixture), 2);
	assert_true(nacre_buffer_length(&fixture->answer) <= NACRE_AGENT_MESSAGE_MAX + 4);
}

/* Serves one connection with a keyring until it is closed. */
static _Noreturn void
serve(int fd)
{
	static uint8_t message[NACRE_AGENT_MESSAGE_MAX];
	struct nacre_keyring *keyring;
	struct nacre_keyring_client *client;
	struct nacre_buffer answer = {0};
	uint8_t header[4];
	size_t length;

	nacre_keyring_new(&keyring);
	nacre_keyring_client_new(keyring, &client);
	while (recv(fd, header, 4, MSG_WAITALL) == 4) {
		length = (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
		if (recv(fd, message, length, MSG_WAITALL) != (ssize_t)length)
			break;
		nacre_buffer_clear(&answer);
		nacre_keyring_handle(client, (struct nacre_span){message, length}, 1000, &answer);
		/* Split, so that the client has to put answers together. */
		send(fd, answer.data, 3, 0);
		send(fd, answer.data + 3, nacre_buffer_length(&answer) - 3, 0);
	}
	_exit(0);
}

static void
test_client(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_agent_constraints constraints = {.lifetime = 60};
	struct nacre_agent_identities identities;
	struct nacre_buffer signature = {0}, session = {0}, names = {0};
	struct nacre_span blob = nacre_buffer_span(&fixture->blob), text = nacre_span_of("text");
	struct nacre_agent *agent;
	int pair[2];
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if ((child = fork()) == 0) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	assert_int_equal(nacre_agent_of_fd(pair[0], &agent), 0);
	nacre_agent_timeout_set(agent, 20000);
	assert_int_equal(nacre_agent_list(agent, &identities), 0);
	assert_int_equal(identities.count, 0);
	nacre_agent_identities_free(&identities);
	assert_int_equal(nacre_agent_add(agent, fixture->key, "a comment", &constraints), 0);
	constraints.destinations = nacre_span_of("anything");
	assert_int_equal(
	    nacre_agent_add(agent, fixture->key, "a comment", &constraints), NACRE_ERROR_REFUSED);
	assert_int_equal(nacre_agent_list(agent, &identities), 0);
	assert_int_equal(identities.count, 1);
	assert_true(nacre_span_equal(identities.list[0].blob, blob));
	assert_true(nacre_key_equal(identities.list[0].key, fixture->key));
	assert_string_equal(identities.list[0].comment, "a comment");
	nacre_agent_identities_free(&identities);
	assert_int_equal(nacre_agent_sign(agent, blob, text, 0, &signature), 0);
	assert_int_equal(
	    nacre_key_verify(fixture->key, NULL, nacre_buffer_span(&signature), text), 0);
	assert_int_equal(nacre_agent_sign(agent, text, text, 0, &signature), NACRE_ERROR_REFUSED);
	nacre_key_sign(fixture->key, NULL, nacre_span_of("id"), &session);
	assert_int_equal(nacre_agent_session_bind(
			     agent, blob, nacre_span_of("id"), nacre_buffer_span(&session), false),
	    0);
	assert_int_equal(nacre_agent_extension(agent, "query", nothing, &names), 0);
	assert_true(nacre_buffer_length(&names) > 0);
	assert_int_equal(
	    nacre_agent_extension(agent, "none@x", nothing, NULL), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(nacre_agent_lock(agent, text), 0);
	assert_int_equal(nacre_agent_unlock(agent, nacre_span_of("no")), NACRE_ERROR_REFUSED);
	assert_int_equal(nacre_agent_unlock(agent, text), 0);
	assert_int_equal(nacre_agent_remove(agent, blob), 0);
	assert_int_equal(nacre_agent_remove(agent, blob), NACRE_ERROR_REFUSED);
	assert_int_equal(nacre_agent_remove_all(agent), 0);
	nacre_agent_free(agent);
	assert_int_equal(waitpid(child, NULL, 0), child);
	nacre_buffer_free(&signature);
	nacre_buffer_free(&session);
	nacre_buffer_free(&names);
}

static void
test_client_and_a_bad_agent(void **state)
{
	static const struct {
		const char *answer;
		size_t length;
		int error;
	} cases[] = {
	    {"", 0, NACRE_ERROR_CLOSED},
	    {"\0\0\0\0", 4, NACRE_ERROR_PROTOCOL},
	    {"\xff\xff\xff\xff\x0c", 5, NACRE_ERROR_PROTOCOL},
	    {"\0\0\0\5\x0c\xff\xff\xff\xff", 9, NACRE_ERROR_PROTOCOL},
	    {"\0\0\0\x0d\x0c\0\0\0\1\0\0\0\x64\0\0\0\0", 17, NACRE_ERROR_PROTOCOL},
	    {"\0\0\0\6\x0c\0\0\0\0\0", 10, NACRE_ERROR_PROTOCOL},
	    {"\0\0\0\1\6", 5, NACRE_ERROR_PROTOCOL},
	    {"\0\0\0\1\5", 5, NACRE_ERROR_REFUSED},
	    {"\0\0\0\5\x0c\0", 6, NACRE_ERROR_CLOSED},
	};
	struct nacre_agent_identities identities;
	struct nacre_agent *agent;
	int pair[2];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		assert_int_equal(nacre_agent_of_fd(pair[0], &agent), 0);
		assert_int_equal(write(pair[1], cases[i].answer, cases[i].length), cases[i].length);
		shutdown(pair[1], SHUT_WR);
		assert_int_equal(nacre_agent_list(agent, &identities), cases[i].error);
		nacre_agent_free(agent);
		close(pair[1]);
	}
	/* One that does not answer. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(nacre_agent_of_fd(pair[0], &agent), 0);
	nacre_agent_timeout_set(agent, 50);
	assert_int_equal(nacre_agent_list(agent, &identities), NACRE_ERROR_SYSTEM);
	nacre_agent_free(agent);
	close(pair[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_add_list_sign_remove),
	    TEST(test_lifetime),
	    TEST(test_confirmation),
	    TEST(test_unknown_constraints_refuse_the_key),
	    TEST(test_lock),
	    TEST(test_extensions),
	    TEST(test_session_bind),
	    TEST(test_garbage),
	    TEST(test_listing_is_bounded),
	    TEST(test_client),
	    TEST(test_client_and_a_bad_agent),
	};

	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
