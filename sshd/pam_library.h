/* What the PAM module gives: the functions of libpam that sshd calls. Nothing is decided here. */
#ifndef SSHD_PAM_LIBRARY_H
#define SSHD_PAM_LIBRARY_H

#include <security/pam_appl.h>

struct pam_library {
	const char *version;
	int (*start)(const char *service, const char *user, const struct pam_conv *conversation,
	    pam_handle_t **handle);
	int (*end)(pam_handle_t *handle, int status);
	int (*authenticate)(pam_handle_t *handle, int flags);
	int (*account)(pam_handle_t *handle, int flags);
	int (*change_password)(pam_handle_t *handle, int flags);
	int (*credentials)(pam_handle_t *handle, int flags);
	int (*open_session)(pam_handle_t *handle, int flags);
	int (*close_session)(pam_handle_t *handle, int flags);
	int (*set_item)(pam_handle_t *handle, int item, const void *value);
	int (*get_item)(const pam_handle_t *handle, int item, const void **value);
	int (*put_environment)(pam_handle_t *handle, const char *assignment);
	char **(*environment)(pam_handle_t *handle);
	const char *(*describe)(pam_handle_t *handle, int status);
};

/* The module's only symbol. */
extern const struct pam_library nacre_pam_backend;

#endif
