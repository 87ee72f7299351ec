import type { Host } from "../../host.ts";
import { type AuthorityDocument, RelayAuthority } from "../../relay/relay-authority.ts";
import { CertificateStore } from "./certificate-store.ts";
import type { TrustStore } from "./store.ts";
import { TokenStore } from "./token-store.ts";

/** As the published product calls it (contract identity.md 4.2, R9). */
const AUTHORITY = "relay-tls-signing-secret";

/** All that the relay keeps. */
export interface RelayBooks {
  readonly authority: RelayAuthority;
  readonly tokens: TokenStore;
  readonly certificates: CertificateStore;
  /** Stops looking after them. */
  close(): void;
}

/** Opens them for a manager that runs. @throws MeshError `unavailable`, or `invalid` for an authority that cannot be used. */
export async function openRelayBooks(host: Host, store: TrustStore): Promise<RelayBooks> {
  const authority = await RelayAuthority.open(host, authorityDocument(store));
  const tokens = new TokenStore(store);
  const certificates = new CertificateStore(host, store);
  await certificates.follow();
  const sweeping = tokens.keepSwept(host);
  const close = (): void => {
    sweeping[Symbol.dispose]();
    certificates.close();
  };
  return { authority, tokens, certificates, close };
}

/** Where the relay's authority is, for whoever opens it for a moment. */
export const authorityDocument = (store: TrustStore): AuthorityDocument => ({
  title: store.titleOf(AUTHORITY),
  read: () => store.read(AUTHORITY),
  write: (data, version) => store.write(AUTHORITY, data, version),
});
