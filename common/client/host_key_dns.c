/*
 * VerifyHostKeyDNS: fingerprints of host keys in the DNS (SSHFP records, RFC 4255). The answer is
 * worth as much as the resolver vouches for: it sets the AD bit when it has checked the signatures,
 * and the C library shows that bit only of resolvers that /etc/resolv.conf calls trusted
 * ("options trust-ad").
 */
#include <client/client.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>

/* Older headers have no name for it. */
#define TYPE_SSHFP 44

#define ANSWER_MAX 65535

void
host_key_dns_ask(
    const struct nacre_client *client, const struct nacre_key *key, struct nacre_sshfp *result)
{
	static uint8_t answer[ANSWER_MAX];
	const char *const host = client->config->hostname;
	struct nacre_buffer blob = {0};
	struct in6_addr room;

	*result = (struct nacre_sshfp){0};
	if (inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1) {
		nacre_log(NACRE_LOG_DEBUG1, "skipped DNS lookup for numerical hostname");
		return;
	}
	if (res_init() != 0)
		return;
	/* The bit that vouches comes only to those who ask for more than RFC 1035 has. */
	_res.options |= RES_USE_EDNS0 | RES_USE_DNSSEC;
	const int length = res_query(host, ns_c_in, TYPE_SSHFP, answer, sizeof answer);
	if (length < 0) {
		nacre_log(NACRE_LOG_VERBOSE, "DNS lookup error: %s", hstrerror(h_errno));
		return;
	}
	if (nacre_key_put_blob(key, true, &blob) == 0)
		nacre_sshfp_judge((struct nacre_span){answer, (size_t)length},
		    nacre_key_format(key), nacre_buffer_span(&blob), result);
	nacre_buffer_free(&blob);
	nacre_log(NACRE_LOG_DEBUG1, "found %s%s fingerprints in DNS%s", result->found ? "" : "no ",
	    result->secure ? "secure" : "insecure", result->match ? ", of this key" : "");
}
