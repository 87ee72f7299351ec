import { kindOfHost } from "../../address-kind.ts";
import { MeshError } from "../../errors.ts";
import type { VaultSpec } from "../policy.ts";
import { checkedRolePath, plainPath, type SigningPath, signingPath } from "./vault-paths.ts";

/** A VaultSpec, looked at before anybody is asked. */
export interface VaultTarget {
  readonly server: URL;
  /** Sent as X-Vault-Namespace; empty for none. */
  readonly namespace: string;
  readonly path: SigningPath;
  /** Empty for none. */
  readonly rolePath: string;
}

/**
 * Plain http is for tests and labs on this very machine: a token, and what we trust, would be anybody's on the way.
 * @throws MeshError `invalid`, naming the field of the policy and what it should be.
 */
export function vaultTarget(spec: VaultSpec): VaultTarget {
  if (spec.auth.kind === "kubernetes") plainPath("the authentication's mountPath", spec.auth.mountPath);
  return {
    server: serverOf(spec.server),
    namespace: spec.vaultNamespace === "" ? "" : plainPath("namespace", spec.vaultNamespace),
    path: signingPath(spec.caPath),
    rolePath: checkedRolePath(spec.rolePath),
  };
}

function serverOf(written: string): URL {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined || !mayBeAsked(url) || url.username !== "" || url.search !== "" || !/^\/?$/.test(url.pathname))
    throw new MeshError(
      "invalid",
      `server ${JSON.stringify(written.slice(0, 200))} is no address of a Vault; write https://<host>:<port> and nothing after it`,
    );
  return url;
}

/** Whether a token may be sent there. */
export const mayBeAsked = ({ protocol, hostname }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && kindOfHost(hostname) === "loopback");
