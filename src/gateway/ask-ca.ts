import { certify, newCsr } from "../ca/client.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import type { RootFile } from "./root-file.ts";
import type { ControlPlaneAddress } from "./settings.ts";
import { checkedSvid, type ExpectedIdentity, type Svid } from "./svid.ts";
import { readToken, type ServiceAccountToken, tokenHint } from "./token.ts";

export interface CertificateAuthority {
  readonly address: ControlPlaneAddress;
  /** What its certificate names, if not the host. */
  readonly serverName: string | undefined;
  readonly tokenFile: string;
  /** Metadata `clusterid` (contract ztunnel.md 1.4). */
  readonly cluster: string;
  readonly ttlSeconds: number;
  /** Ours: of the pod, with the service account that the token says if we were not told. */
  readonly namespace: string;
  readonly serviceAccount: string | undefined;
  /** Undefined until we know it. */
  trustDomain(): string | undefined;
}

/**
 * Asks the CA for our identity, with a new key each time and the token that is there now. ⇄
 * @throws MeshError that says what failed, and where to look.
 */
export async function askCa(
  { clock }: { readonly clock: Clock },
  authority: CertificateAuthority,
  rootFile: RootFile,
  signal: AbortSignal,
): Promise<Svid> {
  const { address, serverName, tokenFile, cluster, ttlSeconds } = authority;
  const { roots } = rootFile;
  const token = await readToken(tokenFile);
  const expected = ourselves(authority, token);
  const at = hostAndPort(address);
  const csr = newCsr(nameOf(expected));
  const request = { address: at, serverName, roots, token: token.text, clusterId: cluster, ttlSeconds, signal };
  const elements = await certify({ ...request, impersonate: undefined }, csr).catch((thrown: unknown) => {
    const { code, message } = MeshError.from(thrown);
    const hint = HINTS[code]?.(authority, rootFile) ?? tokenHint(token, tokenFile, clock.now());
    throw new MeshError(code, `the CA gave no certificate: ${message}${hint}`, {}, { cause: thrown });
  });
  return checkedSvid(elements, csr, { expected, roots, rootFile: rootFile.path, now: clock.now() });
}

/** Where SPIRE signs, a request has to name its identity; where our trust domain is the CA's to say, it names none. */
const nameOf = ({ trustDomain, ...account }: ExpectedIdentity): string | undefined =>
  trustDomain === undefined ? undefined : formatServiceAccountId({ ...account, trustDomain });

/** IPv6 addresses in brackets. */
export const hostAndPort = ({ host, port }: ControlPlaneAddress): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;

const HINTS: Readonly<Record<string, (authority: CertificateAuthority, rootFile: RootFile) => string>> = {
  unavailable: ({ serverName, address }, { path }) =>
    `; it must be there and show a certificate for ${serverName ?? address.host} under a root in ${path}, ` +
    "or --control-plane-name must say which name it shows",
  timeout: () => "; it may be overloaded, or a policy of the network drops what we send",
};

function ourselves(
  { namespace, serviceAccount, trustDomain }: CertificateAuthority,
  { account }: ServiceAccountToken,
): ExpectedIdentity {
  const own = serviceAccount ?? account?.serviceAccount;
  if (own === undefined)
    throw new MeshError("invalid", "the token does not say whose it is: name the pod's account with --service-account");
  return { namespace, serviceAccount: own, trustDomain: trustDomain() };
}
