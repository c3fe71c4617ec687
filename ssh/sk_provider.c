/* The library that speaks with authenticators: named by the user, or our own. */
#include <ssh/sk.h>

#include <nacre/log.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static uint32_t
own_version(void)
{
	return SK_API_VERSION;
}

static bool
functions_find(struct sk_provider *provider, const char *path)
{
	const struct {
		const char *name;
		void **place;
	} functions[] = {
	    {"sk_api_version", (void **)&provider->version},
	    {"sk_enroll", (void **)&provider->enroll},
	    {"sk_sign", (void **)&provider->sign},
	    {"sk_load_resident_keys", (void **)&provider->load_resident_keys},
	};

	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		*functions[i].place = dlsym(provider->handle, functions[i].name);
		if (*functions[i].place == NULL) {
			nacre_log(NACRE_LOG_ERROR,
			    "Provider \"%s\" is not a security key "
			    "provider: it has no %s()",
			    path, functions[i].name);
			return false;
		}
	}
	if ((provider->version() & SK_API_VERSION_MASK) == SK_API_VERSION)
		return true;
	nacre_log(NACRE_LOG_ERROR,
	    "Provider \"%s\" implements unsupported version 0x%08lx (supported: 0x%08lx)", path,
	    (unsigned long)provider->version(), (unsigned long)SK_API_VERSION);
	return false;
}

bool
sk_provider_load(const char *path, struct sk_provider *provider)
{
	if (strcasecmp(path, "internal") == 0) {
		*provider = (struct sk_provider){
		    NULL, own_version, sk_fido_enroll, sk_fido_sign, sk_fido_load_resident_keys};
		return true;
	}
	*provider = (struct sk_provider){.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
	if (provider->handle == NULL) {
		nacre_log(NACRE_LOG_ERROR, "Provider \"%s\" dlopen failed: %s", path, dlerror());
		return false;
	}
	if (functions_find(provider, path))
		return true;
	sk_provider_unload(provider);
	return false;
}

void
sk_provider_unload(struct sk_provider *provider)
{
	if (provider->handle != NULL)
		dlclose(provider->handle);
	*provider = (struct sk_provider){0};
}

static void
enroll_response_clear(struct sk_enroll_response *response)
{
	free(response->public_key);
	free(response->key_handle);
	free(response->signature);
	free(response->attestation_cert);
	free(response->authdata);
}

void
sk_enroll_response_free(struct sk_enroll_response *response)
{
	if (response == NULL)
		return;
	enroll_response_clear(response);
	free(response);
}

void
sk_sign_response_free(struct sk_sign_response *response)
{
	if (response == NULL)
		return;
	free(response->sig_r);
	free(response->sig_s);
	free(response);
}

void
sk_resident_keys_free(struct sk_resident_key **keys, size_t count)
{
	for (size_t i = 0; keys != NULL && i < count; i++) {
		if (keys[i] == NULL)
			continue;
		free(keys[i]->application);
		free(keys[i]->user_id);
		enroll_response_clear(&keys[i]->key);
		free(keys[i]);
	}
	free(keys);
}
