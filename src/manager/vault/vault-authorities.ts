import type { OpenedCertificate } from "../../ca/path.ts";
import { MeshError } from "../../errors.ts";
import type { ObjectName, VaultSpec } from "../policy.ts";
import { openedPem } from "./vault-chain.ts";

/** The text of a key of a Secret, as it is now. @throws MeshError `absent`, `invalid` or `unavailable`. */
export type ReadSecretKey = (secret: ObjectName, key: string, signal: AbortSignal) => Promise<string>;

/** What verifies Vault's own certificate; undefined for the roots of this machine. @throws MeshError as `ReadSecretKey`. */
export type Authorities = (signal: AbortSignal) => Promise<readonly OpenedCertificate[] | undefined>;

/** A Secret is read anew each time: what is put there counts at once. @throws MeshError `invalid` for a `caBundle` that is none. */
export function vaultAuthorities({ caBundle, caBundleSecret: secret }: VaultSpec, read: ReadSecretKey): Authorities {
  const written = caBundle === undefined ? undefined : authoritiesIn("caBundle", caBundle);
  if (written !== undefined || secret === undefined) return () => Promise.resolve(written);
  const title = `Secret ${secret.namespace}/${secret.name}, key ca.crt,`;
  return async (signal) => authoritiesIn(title, await read(secret, "ca.crt", signal));
}

function authoritiesIn(where: string, pem: string): readonly OpenedCertificate[] {
  const found = openedPem(where, [pem]);
  if (found.length > 0) return found;
  throw new MeshError("invalid", `${where} holds no certificate; put the one there, in PEM, that issued Vault's own`);
}
