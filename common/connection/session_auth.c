/* The authentication calls of a session: each is one of userauth/. */
#include <connection/session.h>

int
nacre_auth_user(struct nacre_session *session, const char *user)
{
	return userauth_client_user(session->userauth, user);
}

int
nacre_auth_none(struct nacre_session *session, uint32_t *request)
{
	return userauth_client_none(session->userauth, request);
}

int
nacre_auth_query_publickey(
    struct nacre_session *session, const char *algorithm, struct nacre_span blob, uint32_t *request)
{
	return userauth_client_publickey(session->userauth, false, algorithm, blob, request);
}

int
nacre_auth_publickey(
    struct nacre_session *session, const char *algorithm, struct nacre_span blob, uint32_t *request)
{
	return userauth_client_publickey(session->userauth, true, algorithm, blob, request);
}

int
nacre_auth_hostbased(struct nacre_session *session, const char *algorithm, struct nacre_span blob,
    const char *client_host, const char *client_user, uint32_t *request)
{
	return userauth_client_hostbased(
	    session->userauth, algorithm, blob, client_host, client_user, request);
}

int
nacre_auth_password(struct nacre_session *session, const char *password, const char *new_password,
    uint32_t *request)
{
	return userauth_client_password(session->userauth, password, new_password, request);
}

int
nacre_auth_keyboard_interactive(
    struct nacre_session *session, const char *devices, uint32_t *request)
{
	return userauth_client_keyboard_interactive(session->userauth, devices, request);
}

int
nacre_auth_respond(struct nacre_session *session, const struct nacre_span *responses, size_t count)
{
	return userauth_client_respond(session->userauth, responses, count);
}

int
nacre_auth_accept(struct nacre_session *session)
{
	return userauth_server_accept(session->userauth);
}

int
nacre_auth_reject(struct nacre_session *session, const char *methods, bool partial_success)
{
	return userauth_server_reject(session->userauth, methods, partial_success);
}

int
nacre_auth_publickey_ok(struct nacre_session *session)
{
	return userauth_server_publickey_ok(session->userauth);
}

int
nacre_auth_change_password(struct nacre_session *session, const char *prompt)
{
	return userauth_server_change_password(session->userauth, prompt);
}

int
nacre_auth_ask(struct nacre_session *session, const char *name, const char *instruction,
    const struct nacre_auth_prompt *prompts, size_t count)
{
	return userauth_server_ask(session->userauth, name, instruction, prompts, count);
}

int
nacre_auth_banner(struct nacre_session *session, struct nacre_span text)
{
	return userauth_server_banner(session->userauth, text);
}
