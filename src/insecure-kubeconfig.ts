/**
 * What a kubeconfig that others wrote may have only if it is named in PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS.
 * The first four words are istiod's; contract peering.md 3.3 and operations.md 4.2.
 */
export const INSECURE_KUBECONFIG_OPTIONS = {
  exec: "users may name a program, which we run",
  clientKey: "users may name the file of a key, which we read",
  clientCertificate: "users may name the file of a certificate, which we read",
  tokenFile: "users may name the file of a token, which we read and send to the server",
  certificateAuthority: "clusters may name the file of their roots, which we read",
  oidcRefresh: "tokens of auth-provider oidc are renewed at the issuer's URL, which we then call",
  insecureSkipTlsVerify:
    "a server's certificate may go unverified: whoever is between us gets the token, and our trust",
  impersonate: "users may ask to be somebody else",
  http: "servers may be without TLS",
  loopback: "servers may be this machine itself: for tests and labs",
  linkLocal: "servers may be at link-local and metadata addresses",
} as const;
export type InsecureKubeconfigOption = keyof typeof INSECURE_KUBECONFIG_OPTIONS;
