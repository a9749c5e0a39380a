#pragma once
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/// gnutls_free is a variable, which Swift takes for one that may change.
static inline void drover_gnutls_free(void *pointer) { gnutls_free(pointer); }
