/* The module over libpam: its functions in a table, so that only servers that use PAM load it. */
#include "sshd/pam_library.h"

const struct pam_library nacre_pam_backend = {
    .version = NACRE_VERSION,
    .start = pam_start,
    .end = pam_end,
    .authenticate = pam_authenticate,
    .account = pam_acct_mgmt,
    .change_password = pam_chauthtok,
    .credentials = pam_setcred,
    .open_session = pam_open_session,
    .close_session = pam_close_session,
    .set_item = pam_set_item,
    .get_item = pam_get_item,
    .put_environment = pam_putenv,
    .environment = pam_getenvlist,
    .describe = pam_strerror,
};
