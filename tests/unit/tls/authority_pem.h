/* SPDX-License-Identifier: BSD-2-Clause */
/* Certificates of servers and of their CAs. They are valid from December 2026 to March 2029. */
#pragma once

/* A CA of tools/mkkeys, and a server's of 192.0.2.10 and 2001:db8::10, with its key. */
#define PEM_CA                                                           \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBbzCCARWgAwIBAgIUEIjVFcWJZUtofwkxiDWUEex3fs4wCgYIKoZIzj0EAwIw\n" \
    "FDESMBAGA1UEAwwJR29kd2l0IENBMB4XDTI2MTIwMTEyNDk0N1oXDTM2MTEyODEy\n" \
    "NDk0N1owFDESMBAGA1UEAwwJR29kd2l0IENBMFkwEwYHKoZIzj0CAQYIKoZIzj0D\n" \
    "AQcDQgAEuyq9dY+a9MvOM+zWpeIk8y3HO+sIu2mYYF4vjWALsWIPuGoUUySCaC+l\n" \
    "2WOmMieUSjfbl2h66iOzU0rRIBnifKNFMEMwEgYDVR0TAQH/BAgwBgEB/wIBADAO\n" \
    "BgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFOOirAghOsKTok9VXg2rnJapN6R7MAoG\n" \
    "CCqGSM49BAMCA0gAMEUCIBb3CPNL5XuRbCMcQT1pXUa7kwO2ijqxCe5B8aeYgT7+\n" \
    "AiEAucALRy30aa8+7y61hs2kl+3lnnRzi2EsiHfAClLpGTg=\n"                 \
    "-----END CERTIFICATE-----\n"

#define PEM_MEMBER                                                       \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBzTCCAXKgAwIBAgIRANBcvtIblhMR9tRbWlhFSnswCgYIKoZIzj0EAwIwFDES\n" \
    "MBAGA1UEAwwJR29kd2l0IENBMB4XDTI2MTIwMTEyNDk0N1oXDTI5MDMwNTEyNDk0\n" \
    "N1owFTETMBEGA1UEAwwKMTkyLjAuMi4xMDBZMBMGByqGSM49AgEGCCqGSM49AwEH\n" \
    "A0IABHjEeid/+A24PVc21aY9OIn2AysS8cRJFLXT+1s+BmTjrLP03m6aSOK/AB2v\n" \
    "cwpmpCNRfwWMv+dGcIDTycIh64ajgaMwgaAwIQYDVR0RBBowGIcEwAACCocQIAEN\n" \
    "uAAAAAAAAAAAAAAAEDAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDAdBgNV\n" \
    "HSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwHwYDVR0jBBgwFoAU46KsCCE6wpOi\n" \
    "T1VeDauclqk3pHswHQYDVR0OBBYEFHk3oN0trf4lC7aa25Tn+HoiLPABMAoGCCqG\n" \
    "SM49BAMCA0kAMEYCIQDFvY5Lo3O0QmdonCqR7Hw+jgEo36ZiCy7TO15C4fkV1QIh\n" \
    "AP7IEI0lOloRA0NN/HbnKigb7HIB1pSI6WbwHtO2tpB2\n"                     \
    "-----END CERTIFICATE-----\n"                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgV6Ge/IZew/oy659n\n" \
    "Zatv1JWRJ+uJzyyiXrDCTaajGbChRANCAAR4xHonf/gNuD1XNtWmPTiJ9gMrEvHE\n" \
    "SRS10/tbPgZk46yz9N5umkjivwAdr3MKZqQjUX8FjL/nRnCA08nCIeuG\n"         \
    "-----END PRIVATE KEY-----\n"

/* Another CA, one that it has made, and of that one a server's of 192.0.2.11, with its key. It has the names 192.0.2.10
 * and evil, too, but not as addresses. */
#define PEM_ROOT                                                         \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBYjCCAQigAwIBAgIUDn4d5jyYt8mqJZENMBcGENqKeDkwCgYIKoZIzj0EAwIw\n" \
    "DzENMAsGA1UEAwwEUm9vdDAeFw0yNjEyMDExMjQ5NDdaFw0zNjExMjgxMjQ5NDda\n" \
    "MA8xDTALBgNVBAMMBFJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARTyYfi\n" \
    "xkj+xe8JvgBsot7f3pPWY0S9ymKU6tLT2IdgGZusXiHT3Ma5GbH/WZN7RWQUqAPD\n" \
    "4sg/1kGgYuCbIQclo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIC\n" \
    "BDAdBgNVHQ4EFgQUs4e9Gh07hDgmXqkYkZ4M991r8k8wCgYIKoZIzj0EAwIDSAAw\n" \
    "RQIhANndeb+oABeEJ6tNLX0I3dPraRMomb7s3beDe4YdiwlkAiAP0WoPnZZVyp2+\n" \
    "mv8yesegjShxGrQpyksyoQpSl3ApqQ==\n"                                 \
    "-----END CERTIFICATE-----\n"

#define PEM_BETWEEN                                                      \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBcjCCARmgAwIBAgIBBzAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARSb290MB4X\n" \
    "DTI2MTIwMTEyNDk0N1oXDTM2MTEyODEyNDk0N1owEjEQMA4GA1UEAwwHQmV0d2Vl\n" \
    "bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGBhJ+x/3WPcTG5GE2Y/1q++VVBl\n" \
    "rZsfntdjSCOd5H6rpIIv1INsLGlOdQOT2L2746JuUT8VIWIMPGKAjureXu2jYzBh\n" \
    "MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMB0GA1UdDgQWBBR4Ooor\n" \
    "qDD7XJRYvP0pnI6GsiHKBTAfBgNVHSMEGDAWgBSzh70aHTuEOCZeqRiRngz33Wvy\n" \
    "TzAKBggqhkjOPQQDAgNHADBEAiARZyOSY2hNEqcxEtEyP6e7XAaOD74VZIPi66Yz\n" \
    "50JB/gIgU/onZtxLrQGCTB1hYSLNWABgIVTaKIVDjwMpQJnTyIY=\n"             \
    "-----END CERTIFICATE-----\n"

#define PEM_UNDER                                                        \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBkDCCATagAwIBAgIBCDAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdCZXR3ZWVu\n" \
    "MB4XDTI2MTIwMTEzMzMzM1oXDTI5MDMwNTEzMzMzM1owFTETMBEGA1UEAwwKMTky\n" \
    "LjAuMi4xMDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJEnMsah6h7rzR7PF7Oc\n" \
    "qdw5txObSjqYZ5Do1/TZnyaRcATYyNU3YGyhiyf+nPlwmWXBZv8YwN13GTjWLQs0\n" \
    "UaKjejB4MCEGA1UdEQQaMBiCCjE5Mi4wLjIuMTCCBGV2aWyHBMAAAgswEwYDVR0l\n" \
    "BAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFLnTGFOYI8/az50hA00g5Cswu88LMB8G\n" \
    "A1UdIwQYMBaAFHg6iiuoMPtclFi8/SmcjoayIcoFMAoGCCqGSM49BAMCA0gAMEUC\n" \
    "IAaFLFqd2gxe3ZO4fhweTk/PrOQ03jZ/ryu/Wps5j3rKAiEA+RMT1awI4xX2vO7j\n" \
    "BLovVVtZ8s5A69MayNBNGophHUs=\n"                                     \
    "-----END CERTIFICATE-----\n"

#define PEM_UNDER_KEY                                                    \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUy6gscDoo3nPiidu\n" \
    "MHU1ZBz3ymDOuC1Drv3ceAkjvSihRANCAASRJzLGoeoe680ezxeznKncObcTm0o6\n" \
    "mGeQ6Nf02Z8mkXAE2MjVN2BsoYsn/pz5cJllwWb/GMDddxk41i0LNFGi\n"         \
    "-----END PRIVATE KEY-----\n"

/* For 192.0.2.10, with the key PEM_UNDER_KEY, made by the owner of PEM_UNDER, which is no CA. */
#define PEM_FORGED                                                       \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBkDCCATagAwIBAgIUZn4gL6TEhQ9SFtAhlYVd3pMFTNswCgYIKoZIzj0EAwIw\n" \
    "FTETMBEGA1UEAwwKMTkyLjAuMi4xMDAeFw0yNjEyMDExNjMxMjRaFw0yOTAzMDUx\n" \
    "NjMxMjRaMBExDzANBgNVBAMMBkZvcmdlZDBZMBMGByqGSM49AgEGCCqGSM49AwEH\n" \
    "A0IABJEnMsah6h7rzR7PF7Ocqdw5txObSjqYZ5Do1/TZnyaRcATYyNU3YGyhiyf+\n" \
    "nPlwmWXBZv8YwN13GTjWLQs0UaKjaDBmMA8GA1UdEQQIMAaHBMAAAgowEwYDVR0l\n" \
    "BAwwCgYIKwYBBQUHAwEwHwYDVR0jBBgwFoAUudMYU5gjz9rPnSEDTSDkKzC7zwsw\n" \
    "HQYDVR0OBBYEFLnTGFOYI8/az50hA00g5Cswu88LMAoGCCqGSM49BAMCA0gAMEUC\n" \
    "IQDxWOnzqOs32tT3rCNfz178IisVMO2O8T48jueK39giqgIgAfyCoZu38R+WyWRf\n" \
    "FEWlXvPPPHPRdbjw3qTUB//yUkU=\n"                                     \
    "-----END CERTIFICATE-----\n"

/* Of the first CA, for 192.0.2.10, but for clients only. */
#define PEM_CLIENT                                                       \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBgDCCASagAwIBAgIBCTAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlHb2R3aXQg\n" \
    "Q0EwHhcNMjYxMjAxMTI0OTQ3WhcNMjkwMzA1MTI0OTQ3WjAVMRMwEQYDVQQDDAox\n" \
    "OTIuMC4yLjEwMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE98LWDefyGVLn9rOO\n" \
    "HzTrmwJPXjmyFGf8p9g+9FKqFSbY4KFno+Yuss70+wgXoAJbdesJRcP9Dy/c+jKP\n" \
    "34ZWd6NoMGYwDwYDVR0RBAgwBocEwAACCjATBgNVHSUEDDAKBggrBgEFBQcDAjAd\n" \
    "BgNVHQ4EFgQUPAx6CaP6qvk5G544JlNq3Al8sfQwHwYDVR0jBBgwFoAU46KsCCE6\n" \
    "wpOiT1VeDauclqk3pHswCgYIKoZIzj0EAwIDSAAwRQIgPKQ3MJCbsSQP06zr1EzA\n" \
    "VfhXaH8ZODcYlxLjgg80l00CIQD6TXKja6njK8fm9jbD0kVJiY4xau2i2NsuXv6x\n" \
    "4ikOyQ==\n"                                                         \
    "-----END CERTIFICATE-----\n"                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgn4dcZLKDHoc6R1dW\n" \
    "iPrLVZN7CJZRX456IXWvNVfHwbihRANCAAT3wtYN5/IZUuf2s44fNOubAk9eObIU\n" \
    "Z/yn2D70UqoVJtjgoWej5i6yzvT7CBegAlt16wlFw/0PL9z6Mo/fhlZ3\n"         \
    "-----END PRIVATE KEY-----\n"

/* Of the first CA, for 127.0.0.1. */
#define PEM_HERE                                                         \
    "-----BEGIN CERTIFICATE-----\n"                                      \
    "MIIBvTCCAWSgAwIBAgIQUp0GZXJGtAaTsm0pEFPTeTAKBggqhkjOPQQDAjAUMRIw\n" \
    "EAYDVQQDDAlHb2R3aXQgQ0EwHhcNMjYxMjAxMTI1NTI1WhcNMjkwMzA1MTI1NTI1\n" \
    "WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n" \
    "AASpM4jpq+Qq2NWY6QjpXVFgZwzWxxxaiGNp8RmIeAXNbFvu2yqfKaZMONJquiN3\n" \
    "JtFJhFoSHkrZaeZEo+R8qf1Xo4GXMIGUMBUGA1UdEQQOMAyHBH8AAAGHBH8AAAIw\n" \
    "DAYDVR0TAQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0lBBYwFAYIKwYBBQUH\n" \
    "AwEGCCsGAQUFBwMCMB8GA1UdIwQYMBaAFOOirAghOsKTok9VXg2rnJapN6R7MB0G\n" \
    "A1UdDgQWBBS1vJ2vhQ+K4ENmdvCcn3b5KMNm0DAKBggqhkjOPQQDAgNHADBEAiBw\n" \
    "hxxwyVhxqjmhWEKoNhAEJychj8cITEhLYdDzSN2SDAIgdDcXUHUzqzqOjdoYuAbU\n" \
    "k89wywSH1LmMkkcuOPmCZUQ=\n"                                         \
    "-----END CERTIFICATE-----\n"                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                      \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0gc5kD74xLE9PkNc\n" \
    "Ge7h7NI2Ggj3BTun6VAH98o8ou6hRANCAASpM4jpq+Qq2NWY6QjpXVFgZwzWxxxa\n" \
    "iGNp8RmIeAXNbFvu2yqfKaZMONJquiN3JtFJhFoSHkrZaeZEo+R8qf1X\n"         \
    "-----END PRIVATE KEY-----\n"
