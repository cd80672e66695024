/* SPDX-License-Identifier: BSD-2-Clause */
/* A certificate and its private key, as tools/mkkeys makes them, and those of somebody else. */
#pragma once

#define PEM_CERTIFICATE                                                  \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBzTCCAXSgAwIBAgIQAMclfTL8Hh4OFGbPehuEsDAKBggqhkjOPQQDAjAUMRIw\n" \
    "EAYDVQQDDAlHb2R3aXQgQ0EwHhcNMjYxMjAxMDU0NjU3WhcNMjkwMzA1MDU0NjU3\n" \
    "WjATMREwDwYDVQQDDAgxMC45LjAuMjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n" \
    "BHwgErXpjOrAdQwqSrR1mt+L0EAdItn7Da3Qy22C5Ni6w9hFrqjCLCZMgb49a6zv\n" \
    "+KQmbLNJxPYa6LmYBvMft2ijgagwgaUwMAYDVR0RBCkwJ4cECgkAAocQ/QkAAAAA\n" \
    "AAAAAAAAAAAAAoINYWxwaGEuZXhhbXBsZTAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB\n" \
    "/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAfBgNVHSMEGDAWgBRixMYlBvVj\n" \
    "fatqG5z1vP8xhQVmhTAdBgNVHQ4EFgQUgy6Jfa5DZfjKscDyRK0BCc1p5SEwCgYI\n" \
    "KoZIzj0EAwIDRwAwRAIgW9brjoYL+rGMd0MFkCI3fa6SScZFDzk5cr7FCaGCTEsC\n" \
    "IBX2hkVR2OKeQeHbaQmTEucSdMDMOCvffaF1W8sm5pRJ\n"                     \
    "-----END CERTIFICATE-----\n"

#define PEM_KEY                                                          \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnwKOcOd5CdZDFS2y\n" \
    "1CioTi5ABC2zHVDKraOhidfVWemhRANCAAR8IBK16YzqwHUMKkq0dZrfi9BAHSLZ\n" \
    "+w2t0MttguTYusPYRa6owiwmTIG+PWus7/ikJmyzScT2Gui5mAbzH7do\n"         \
    "-----END PRIVATE KEY-----\n"

/* Another secret, and the public half of PEM_KEY. */
#define PEM_KEY_OF_TWO                                                   \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWlpaWlpaWlpaWlpa\n" \
    "WlpaWlpaWlpaWlpaWlpaWlpaWlqhRANCAAR8IBK16YzqwHUMKkq0dZrfi9BAHSLZ\n" \
    "+w2t0MttguTYusPYRa6owiwmTIG+PWus7/ikJmyzScT2Gui5mAbzH7do\n"         \
    "-----END PRIVATE KEY-----\n"

#define PEM_OTHER_CERTIFICATE                                            \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBqzCCAVCgAwIBAgIPeuyU3+SgjdGdVCekqFrlMAoGCCqGSM49BAMCMBQxEjAQ\n" \
    "BgNVBAMMCUdvZHdpdCBDQTAeFw0yNjEyMDEwNTQ3NDlaFw0yOTAzMDUwNTQ3NDla\n" \
    "MBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEb9XC\n" \
    "a1hVqASuH3yAPLd9r2qN6GYv7TXphQaYQFsn9jtqZ+QNIF1xYTRsfP0YO82z4ytp\n" \
    "QdxtG+A1341ajBg796OBiDCBhTAQBgNVHREECTAHggVvdGhlcjAMBgNVHRMBAf8E\n" \
    "AjAAMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDATAfBgNVHSME\n" \
    "GDAWgBRixMYlBvVjfatqG5z1vP8xhQVmhTAdBgNVHQ4EFgQUh8neEmdRs4tyTHjL\n" \
    "E9mcyTliDYMwCgYIKoZIzj0EAwIDSQAwRgIhAMOzjJ69MomI6ppsslKtRs2jc3IE\n" \
    "PqkDk8qw+hOWGL7GAiEApOz+CB1oA5HNzUlJviC/IdaoC4dPyVrgYkYYKQSjHNE=\n" \
    "-----END CERTIFICATE-----\n"
